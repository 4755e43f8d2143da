// Elements of the page. Text enters the document as text nodes only, never as markup.

import { texts } from "./texts/index.js";

// Neither language needs them, and a document could reorder with them what stands around it.
const INVISIBLE = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u2069\uFEFF]/g;
const announcer = document.getElementById("announcer");

/** @param {unknown} value */
export function plain(value) {
  return String(value ?? "").replace(INVISIBLE, "");
}

/** Make an element with attributes and children; absent children and attributes are left out, strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  const present = children.filter((child) => child !== undefined && child !== "");
  element.append(...present.map((child) => (typeof child === "string" ? plain(child) : child)));
  return element;
}

/** @param {string} label @param {(button: HTMLElement) => void} onClick */
export function makeButton(label, onClick, className = "quiet") {
  const button = make("button", { type: "button", class: className }, label);
  button.addEventListener("click", () => onClick(button));
  return button;
}

/** Tell screen readers: one sentence a state, never each piece of an answer. @param {string} text */
export function announce(text) {
  announcer.textContent = plain(text);
}

/** Copy, and say in the button whether it worked. */
export async function copy(button, text) {
  const label = button.textContent;
  button.textContent = (await written(text)) ? texts.copied : texts.notCopied;
  announce(button.textContent);
  setTimeout(() => (button.textContent = label), 2000);
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers give no clipboard to pages served without TLS from another machine; they still copy a selection.
    const field = make("textarea", { class: "hidden", readonly: true });
    field.value = text;
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return done;
  }
}
