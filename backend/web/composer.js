// The field for the question: its size, its keys, its limit, and the letters that keyboards lack.

import { makeButton } from "./dom.js";
import { texts } from "./texts/index.js";

const LETTERS = ["ɨ", "ʉ", "á", "é", "í", "ó", "ú", "ñ"];
const LIMIT = 2000;
const COUNTED_FROM = 800;
const [form, field, counter, letters] = ["form", "question", "counter", "letters"].map((id) =>
  document.getElementById(id),
);

/**
 * @param {(query: string) => boolean} onSend returns whether it accepted the question
 * @param {() => string | undefined} lastQuestion
 */
export function startComposer(onSend, lastQuestion) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = field.value.trim();
    if (query !== "" && characters(query) <= LIMIT && onSend(query)) write("");
  });
  field.addEventListener("input", fit);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "ArrowUp" && field.value === "" && lastQuestion()) {
      event.preventDefault();
      write(lastQuestion());
    }
  });
  for (const letter of LETTERS) {
    const button = makeButton(
      letter,
      () => {
        field.setRangeText(letter, field.selectionStart, field.selectionEnd, "end");
        field.focus();
        field.dispatchEvent(new Event("input"));
      },
      "letter",
    );
    button.setAttribute("aria-label", texts.insert(letter));
    letters.append(button);
  }
}

/** Put a text into the field, and the cursor behind it. */
export function write(text) {
  field.value = text;
  field.focus({ preventScroll: true });
  fit();
}

function fit() {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
  const used = characters(field.value.trim());
  const over = used > LIMIT;
  counter.textContent = over ? texts.tooLong(LIMIT) : used >= COUNTED_FROM ? texts.count(used, LIMIT) : "";
  counter.classList.toggle("wrong", over);
  field.setAttribute("aria-invalid", String(over));
}

function characters(text) {
  return [...text].length;
}
