// Requests of the administration, and what is done when one is refused.

import { askForKey, request } from "../access.js";
import { announce, plain } from "../dom.js";
import { texts } from "../texts/index.js";

const trouble = document.getElementById("trouble");

export class Refused extends Error {
  /** @param {string} message for the reader @param {boolean} needsKey whether another key may help */
  constructor(message, needsKey = false) {
    super(message);
    this.needsKey = needsKey;
  }
}

/** The response, if it is a good one. Throws Refused. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await request(path, options);
  } catch (error) {
    if (error instanceof TypeError) throw new Refused(texts.problems.unreachable.join(" "));
    throw error;
  }
  if (response.ok) return response;
  const { error = {} } = await response.json().catch(() => ({}));
  const known = { busy: [texts.admin.busy], request_too_large: [texts.admin.tooLarge] }[error.type] ?? texts.problems[error.type];
  // The server's message says what is wrong with a file.
  const message = response.status === 422 ? error.message : (known ?? texts.problems.internal).join(" ");
  throw new Refused(message, [401, 403].includes(response.status));
}

/** Do something that asks the server; ask for the key where it wants another one, and say what fails. */
export async function attempt(work) {
  trouble.hidden = true;
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused && error.needsKey) {
      askForKey(() => attempt(work));
      return;
    }
    if (!(error instanceof Refused)) console.error(error);
    trouble.textContent = plain(error instanceof Refused ? error.message : texts.problems.page[0]);
    trouble.hidden = false;
    announce(trouble.textContent);
  }
}

/** Fetch JSON. Throws Refused. */
export async function fetched(path, options) {
  return (await ask(path, options)).json();
}
