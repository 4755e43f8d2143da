// What has been said in this tab: shown again after a reload, and sent along so that "¿y gato?" is understood.

const NAME = "mentor-bora-turns";
const KEPT_TURNS = 30;
const SENT_MESSAGES = 8;
const SENT_CHARACTERS = 2000;

/**
 * @typedef {object} Turn
 * @property {string} query
 * @property {"asking" | "done" | "stopped" | "failed"} state
 * @property {object[]} sources
 * @property {string} answer the checked text; empty until it is there
 * @property {string} explanation
 * @property {object} [facts] the rest of the backend's answer
 * @property {{type: string, requestId: string, retryAfter: number}} [problem]
 */
export class Conversation {
  constructor() {
    /** @type {Turn[]} */
    this.turns = load();
  }

  /** Take a question on. @param {string} query @returns {Turn} */
  add(query) {
    const turn = { query, state: "asking", sources: [], answer: "", explanation: "" };
    this.turns = [...this.turns, turn].slice(-KEPT_TURNS);
    this.save();
    return turn;
  }

  clear() {
    this.turns = [];
    this.save();
  }

  /** The answered turns before one, as the backend takes them. @param {Turn} turn */
  history(turn) {
    const messages = this.turns
      .slice(0, this.turns.indexOf(turn))
      .filter(({ answer }) => answer)
      .flatMap(({ query, answer }) => [
        { role: "user", content: cut(query) },
        { role: "assistant", content: cut(answer) },
      ]);
    return messages.slice(-SENT_MESSAGES);
  }

  save() {
    try {
      sessionStorage.setItem(NAME, JSON.stringify(this.turns));
    } catch {
      // The tab's storage is full or switched off: the conversation then lasts until the page is left.
    }
  }
}

function load() {
  try {
    const turns = JSON.parse(sessionStorage.getItem(NAME) ?? "[]");
    // The answer of a question that was under way has been lost with the page.
    return turns.map((turn) => (turn.state === "asking" ? { ...turn, state: "stopped" } : turn));
  } catch {
    return [];
  }
}

/** By characters: half of one is refused as malformed. */
function cut(text) {
  return [...text].slice(0, SENT_CHARACTERS).join("");
}
