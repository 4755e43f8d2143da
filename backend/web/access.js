// The access key, where the server asks for one: kept until the tab is closed, or left where a tab may store nothing.

import { make, makeButton } from "./dom.js";
import { texts } from "./texts/index.js";

const NAME = "mentor-bora-key";
const text = make("p");
const field = make("input", { id: "key", name: "key", type: "password", autocomplete: "off", required: true });
const cancel = makeButton(texts.cancel, () => dialog.close());
const proceed = make("button", { class: "action", type: "submit" }, texts.proceed);
const form = make(
  "form",
  { method: "dialog" },
  make("h2", { id: "key-title" }, texts.keyTitle),
  text,
  make("label", { for: "key" }, texts.keyLabel),
  field,
  make("div", { class: "dialog-actions" }, cancel, proceed),
);
const dialog = make("dialog", { class: "dialog", "aria-labelledby": "key-title" }, form);
document.body.append(dialog);

let key = "";
try {
  key = sessionStorage.getItem(NAME) ?? "";
} catch {
  // The browser stores nothing for this page.
}

function keep(given) {
  key = given;
  try {
    sessionStorage.setItem(NAME, key);
  } catch {
    // The key then lasts until the page is left.
  }
}

export function isAskingForKey() {
  return dialog.open;
}

/** @param {() => void} then what to do once there is a key */
export function askForKey(then) {
  text.textContent = key ? texts.keyRefused : texts.keyFirst;
  keep("");
  form.onsubmit = () => {
    keep(field.value.trim());
    form.reset();
    then();
  };
  dialog.showModal();
}

/** `fetch` of a path of this server, with the key. Headers hold bytes: letters beyond ASCII go as UTF-8. */
export function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`;
  return fetch(new URL(path, document.baseURI), { ...options, headers });
}
