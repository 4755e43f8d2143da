// What screen readers are told: one sentence a state, never each piece of an answer.

const element = document.getElementById("announcer");

/** @param {...(string | Node)} content */
export function announce(...content) {
  element.replaceChildren(...content.map((part) => (typeof part === "string" ? part : part.cloneNode(true))));
}
