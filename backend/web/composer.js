// The field for the question: its size, its keys, and the letters that keyboards lack.

/**
 * @param {{onSend: (query: string) => boolean}} options `onSend` tells whether it took the question
 */
export function startComposer({ onSend }) {
  const form = document.getElementById("form");
  const field = document.getElementById("question");
  const fit = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = field.value.trim();
    if (query === "" || !onSend(query)) return;
    field.value = "";
    fit();
  });
  field.addEventListener("input", fit);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  for (const button of document.querySelectorAll("[data-letter]")) {
    button.addEventListener("click", () => {
      field.setRangeText(button.dataset.letter, field.selectionStart, field.selectionEnd, "end");
      field.focus();
      fit();
    });
  }
  return field;
}
