// Elements of the page. Text enters the document as text nodes only, never as markup.

// Neither language needs them, and a document could reorder with them what stands around it.
const INVISIBLE = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u2069\uFEFF]/g;

/** @param {unknown} value */
export function plain(value) {
  return String(value ?? "").replace(INVISIBLE, "");
}

/** Make an element with attributes and children; strings become text nodes, attributes that are false are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.map((child) => (typeof child === "string" ? plain(child) : child)));
  return element;
}

/** @param {string} label @param {() => void} onClick */
export function makeButton(label, onClick, className = "quiet") {
  const button = make("button", { type: "button", class: className }, label);
  button.addEventListener("click", onClick);
  return button;
}
