// The access key, where the server asks for one: kept until the tab is closed, or left where a tab may store nothing.

import { texts } from "./texts/index.js";

const NAME = "mentor-bora-key";
const [dialog, form, field, text, cancel] = ["key-dialog", "key-form", "key", "key-text", "key-cancel"].map((id) =>
  document.getElementById(id),
);

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

cancel.addEventListener("click", () => dialog.close());

/** `fetch` of a path of this server, with the key. Headers hold bytes: letters beyond ASCII go as UTF-8. */
export function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`;
  return fetch(new URL(path, document.baseURI), { ...options, headers });
}
