// Requests of the administration, and why one was refused.

import { request } from "../access.js";
import { texts } from "../texts/index.js";

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

/** Fetch JSON. Throws Refused. */
export async function fetched(path, options) {
  return (await ask(path, options)).json();
}
