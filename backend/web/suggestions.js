// Words of the dictionary under the field while one is typed.
// A textarea may not have the role of a combobox: it is a text box that controls a list, and says so by announcements.

import { request } from "./access.js";
import { announce, make } from "./dom.js";
import { texts } from "./texts/index.js";

const PAUSE_MS = 80;
const SHORTEST = 2;
const LONGEST = 40;
const [field, list, form] = ["question", "suggestions", "form"].map((id) => document.getElementById(id));
let timer = 0;
/** Which of the words is marked; -1: none, Enter asks what is written. */
let marked = -1;

/** @param {(word: string) => void} onChoose */
export function startSuggestions(onChoose) {
  field.addEventListener("input", () => {
    clearTimeout(timer);
    const typed = field.value.trim();
    const isWord = typed.length >= SHORTEST && typed.length <= LONGEST && !/[\n?¿]/.test(typed);
    if (isWord) timer = setTimeout(() => suggest(typed).catch(close), PAUSE_MS);
    else close();
  });
  field.addEventListener("keydown", (event) => {
    if (list.hidden || event.isComposing) return;
    if (event.key === "ArrowDown") mark(marked + 1);
    else if (event.key === "ArrowUp") mark(marked - 1);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && marked >= 0) choose(list.children[marked]);
    else return;
    event.preventDefault();
    // Escape would also stop an answer that is being written.
    event.stopPropagation();
  });
  // The field keeps the focus: losing it closes the list.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => choose(event.target.closest("li")));
  field.addEventListener("blur", close);
  form.addEventListener("submit", close);

  function choose(option) {
    close();
    if (option) onChoose(option.firstElementChild.textContent);
  }
}

async function suggest(typed) {
  const response = await request(`api/rag/suggest?q=${encodeURIComponent(typed)}`);
  const { suggestions } = response.ok ? await response.json() : { suggestions: [] };
  // Written on, or sent, meanwhile.
  if (field.value.trim() !== typed || document.activeElement !== field) return;
  const options = suggestions.map(({ word, language, meaning }, at) => {
    const other = make("span", { lang: language === "es" ? "boa" : "es" }, meaning);
    return make("li", { id: `suggestion-${at}`, role: "option" }, make("b", { lang: language }, word), other);
  });
  list.replaceChildren(...options);
  list.hidden = options.length === 0;
  mark(-1);
  if (options.length > 0) announce(texts.suggested(options.length));
}

function mark(at) {
  const options = [...list.children];
  marked = Math.max(-1, Math.min(at, options.length - 1));
  for (const [place, option] of options.entries()) option.setAttribute("aria-selected", String(place === marked));
  if (marked < 0) field.removeAttribute("aria-activedescendant");
  else {
    field.setAttribute("aria-activedescendant", options[marked].id);
    options[marked].scrollIntoView({ block: "nearest" });
  }
}

function close() {
  clearTimeout(timer);
  list.hidden = true;
  list.replaceChildren();
  mark(-1);
}
