// The access key, where the server asks for one: kept until the tab is closed.

const NAME = "mentor-bora-key";
const dialog = document.getElementById("key-dialog");
const form = document.getElementById("key-form");
const field = document.getElementById("key");
const text = document.getElementById("key-text");

const FIRST = "Este servidor pide una clave de acceso. Se guarda solo hasta que cierres esta pestaña.";
const REFUSED = "El servidor no aceptó esa clave. Revísala y escríbela de nuevo, o pídela a quien lo administra.";

export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

export function isAskingForKey() {
  return dialog.open;
}

/** @param {() => void} then what to do once there is a key */
export function askForKey(then) {
  text.textContent = key() ? REFUSED : FIRST;
  sessionStorage.removeItem(NAME);
  form.onsubmit = () => {
    sessionStorage.setItem(NAME, field.value.trim());
    form.reset();
    then();
  };
  dialog.showModal();
}

document.getElementById("key-cancel").addEventListener("click", () => dialog.close());
