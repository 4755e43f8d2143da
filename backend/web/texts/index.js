// The page's sentences in the reader's language: `?lang=` first, then the languages of the browser, else Spanish.

import en from "./en.js";
import es from "./es.js";

const LANGUAGES = { es, en };
const preferred = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
export const language = preferred.map((name) => name?.slice(0, 2)).find((name) => name in LANGUAGES) ?? "es";
export const texts = LANGUAGES[language];

/** Put the sentences into the elements that name them: `data-text` for content, `data-label`, `data-placeholder`. */
export function fillIn() {
  document.documentElement.lang = language;
  document.title = texts.title;
  const named = (name) => name.split(".").reduce((group, part) => group[part], texts);
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = named(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = texts[element.dataset.label];
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = texts[element.dataset.placeholder];
  }
}
