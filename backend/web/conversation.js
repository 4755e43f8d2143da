// What has been said in this tab: shown again after a reload, and sent along so that "¿y gato?" is understood.

const NAME = "mentor-bora-conversation";
const KEPT_TURNS = 30;
const SENT_MESSAGES = 8;
const SENT_CHARACTERS = 2000;

/**
 * A turn is a question with its whole `answer`, or with the `partial` text of one that was stopped.
 * @typedef {{query: string, answer?: object, partial?: string}} Turn
 */
export class Conversation {
  constructor() {
    /** @type {Turn[]} */
    this.turns = load();
  }

  /** @param {Turn} turn */
  add(turn) {
    this.turns = [...this.turns, turn].slice(-KEPT_TURNS);
    this.save();
  }

  clear() {
    this.turns = [];
    this.save();
  }

  /** The last turns as the backend takes them; what was stopped was never checked and is left out. */
  history() {
    const messages = this.turns
      .filter((turn) => turn.answer)
      .flatMap(({ query, answer }) => [
        { role: "user", content: cut(query) },
        { role: "assistant", content: cut(answer.answer) },
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
    return turns.filter((turn) => typeof turn.query === "string" && (turn.partial !== undefined || turn.answer?.answer));
  } catch {
    return [];
  }
}

/** By characters: half of one is refused as malformed. */
function cut(text) {
  return [...text].slice(0, SENT_CHARACTERS).join("");
}
