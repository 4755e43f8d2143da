// Elements of the page. Text enters the document as text nodes only, never as markup.

export const byId = (...ids) => ids.map((id) => document.getElementById(id));
const announcer = document.getElementById("announcer");

/** Make an element; absent children and attributes are left out, strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined && child !== ""));
  return element;
}

export function row(name, value) {
  return value === undefined ? undefined : make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

/** Tell screen readers one sentence. @param {string} text */
export function announce(text) {
  announcer.textContent = text;
}

/** Let text areas grow with what is written in them. */
export function fit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

/** Put a text into the clipboard; returns whether that worked. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard for pages served without TLS from another machine; a selection can still be copied.
    const field = make("textarea", { class: "hidden", readonly: "" });
    const focused = document.activeElement;
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return done;
  }
}
