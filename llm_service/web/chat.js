// A conversation with the model, as `/v1/chat/completions` has it.

import { request } from "./access.js";
import { keywords, openAIClient, startCode } from "./code.js";
import { announce, byId, fit, make } from "./dom.js";
import { objects } from "./events.js";
import { duration } from "./status.js";

const PATH = "v1/chat/completions";
const EXAMPLES = {
  schema: {
    type: "object",
    properties: { name: { type: "string" }, legs: { type: "integer" } },
    required: ["name", "legs"],
    additionalProperties: false,
  },
  tools: [
    {
      type: "function",
      function: {
        name: "look_up",
        description: "Looks a word up in the dictionary",
        parameters: { type: "object", properties: { word: { type: "string" } }, required: ["word"] },
      },
    },
  ],
};
const [form, log, message, label, send, stop, speed, code] = byId(
  ...["chat", "chat-log", "chat-message", "chat-message-label", "chat-send", "chat-stop-now", "chat-speed", "chat-code"],
);
const fields = Object.fromEntries(
  ["system", "temperature", "tokens", "stop", "schema", "tools"].map((name) => [name, byId(`chat-${name}`)[0]]),
);
/** The conversation as it is sent again. @type {object[]} */
let turns = [];
/** @type {AbortController | null} */
let running = null;
let showCode = () => {};

export function startChat() {
  showCode = startCode(code, form, PATH, () => body(message.value || "Hello"), python);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void ask();
  });
  form.addEventListener("input", (event) => event.target.tagName === "TEXTAREA" && fit(event.target));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === "Escape") running?.abort();
  });
  stop.addEventListener("click", () => running?.abort());
  byId("chat-new")[0].addEventListener("click", startOver);
  for (const button of form.querySelectorAll("[data-example]")) {
    button.addEventListener("click", () => {
      const field = fields[button.dataset.example];
      field.value = JSON.stringify(EXAMPLES[button.dataset.example], null, 2);
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
}

async function ask() {
  const text = message.value.trim();
  if (running || !check() || text === "") return;
  const asked = body(text);
  const mine = new AbortController();
  running = mine;
  setState();
  log.append(make("article", { class: "asked", "aria-label": label.textContent }, make("p", {}, text)));
  const answer = new Answer();
  const begun = performance.now();
  speed.textContent = "Waiting for the first token…";
  try {
    const response = await request(PATH, { json: asked, signal: mine.signal, limit: 0 });
    for await (const chunk of objects(response)) {
      if (running !== mine) return;
      if (answer.take(chunk) && !answer.first) {
        answer.first = performance.now();
        speed.textContent = `First token after ${duration((answer.first - begun) / 1000)}`;
      }
    }
    turns = [...asked.messages.filter(({ role }) => role !== "system"), answer.turn()];
    message.value = "";
    fit(message);
    speed.textContent = answer.measured(begun, performance.now());
    announce(`${answer.text || "A call of a tool"}. ${speed.textContent}`);
  } catch (error) {
    if (running !== mine) return;
    speed.textContent = "";
    answer.fail(mine.signal.aborted ? "Stopped." : error.message, mine.signal.aborted);
  } finally {
    answer.end();
    if (running === mine) {
      running = null;
      setState();
    }
  }
}

/** One answer and its place in the log. */
class Answer {
  text = "";
  first = 0;
  #thought = "";
  #calls = [];
  #usage;
  #reason = "";
  #element = make("article", { class: "answered", "aria-label": "Answer", "aria-busy": "true" });
  #parts = { thought: make("p"), text: make("p"), calls: make("pre", { tabindex: "0", role: "group", "aria-label": "Calls of tools" }) };

  constructor() {
    log.append(this.#element);
  }

  /** Add a chunk; returns whether it held something to read. */
  take(chunk) {
    this.#usage = chunk.usage ?? this.#usage;
    const [{ delta = {}, finish_reason: reason } = {}] = chunk.choices ?? [];
    this.#reason = reason ?? this.#reason;
    if (delta.reasoning_content) {
      this.#thought += delta.reasoning_content;
      if (!this.#parts.thought.parentNode) {
        this.#element.append(make("details", {}, make("summary", {}, "Thought"), this.#parts.thought));
      }
      this.#parts.thought.textContent = this.#thought;
    }
    if (delta.content) {
      this.text += delta.content;
      this.#show("text", this.text);
    }
    for (const piece of delta.tool_calls ?? []) this.#takeCall(piece);
    return Boolean(delta.content || delta.reasoning_content || delta.tool_calls);
  }

  #takeCall({ index, id, function: { name = "", arguments: given = "" } }) {
    const call = (this.#calls[index] ??= { id, type: "function", function: { name: "", arguments: "" } });
    call.function.name += name;
    call.function.arguments += given;
    this.#show("calls", this.#calls.map((each) => `${each.function.name}(${each.function.arguments})`).join("\n"));
  }

  #show(part, text) {
    const element = this.#parts[part];
    if (!element.parentNode) this.#element.append(element);
    element.textContent = text;
  }

  turn() {
    return { role: "assistant", content: this.text || null, ...(this.#calls.length && { tool_calls: this.#calls }) };
  }

  /** The speed of a whole answer: tokens after the first over the time they took. */
  measured(begun, ended) {
    const tokens = this.#usage?.completion_tokens ?? 0;
    const seconds = (ended - this.first) / 1000;
    return [
      tokens > 1 && this.first ? `${((tokens - 1) / Math.max(seconds, 0.001)).toFixed(1)} tok/s` : "",
      this.first ? `first token after ${duration((this.first - begun) / 1000)}` : "no text",
      `${tokens} tokens`,
      { length: "cut at the limit of tokens", tool_calls: "asks for a tool" }[this.#reason] ?? "",
    ]
      .filter(Boolean)
      .join(" · ");
  }

  fail(text, stopped) {
    this.#element.append(make("p", { class: stopped ? "soft" : "trouble", role: stopped ? undefined : "alert" }, text));
    if (stopped) announce(text);
  }

  end() {
    this.#element.setAttribute("aria-busy", "false");
  }
}

/** The request, with a message after the conversation so far. */
function body(text) {
  const calls = turns.at(-1)?.tool_calls;
  const next = calls ? calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: text })) : [{ role: "user", content: text }];
  const system = fields.system.value.trim();
  const stops = fields.stop.value.split("\n").filter(Boolean).map((each) => each.replaceAll("\\n", "\n"));
  const schema = parsed("schema");
  const tools = parsed("tools");
  return {
    model: "default",
    messages: [...(system ? [{ role: "system", content: system }] : []), ...turns, ...next],
    ...(fields.temperature.value && { temperature: Number(fields.temperature.value) }),
    ...(fields.tokens.value && { max_tokens: Number(fields.tokens.value) }),
    ...(stops.length && { stop: stops }),
    ...(schema && { response_format: { type: "json_schema", json_schema: { name: "answer", schema, strict: true } } }),
    ...(tools && { tools }),
    stream: true,
    stream_options: { include_usage: true },
  };
}

/** The JSON of a field; undefined while it is empty or wrong. */
function parsed(name) {
  try {
    return JSON.parse(fields[name].value);
  } catch {
    return undefined;
  }
}

/** Whether everything can be sent; says beside each field what is wrong with it. */
function check() {
  let right = true;
  for (const name of ["schema", "tools"]) {
    const value = parsed(name);
    const fits = fields[name].value.trim() === "" || (name === "tools" ? Array.isArray(value) : typeof value === "object");
    fields[name].setAttribute("aria-invalid", String(!fits));
    byId(`chat-${name}-wrong`)[0].textContent = fits ? "" : name === "tools" ? "This is not a JSON list." : "This is not JSON.";
    right &&= fits;
  }
  const wrong = form.querySelector(":invalid:not(details), [aria-invalid=true]");
  if (!wrong) return right;
  // A browser cannot show its words at a field that is folded away.
  wrong.closest("details")?.setAttribute("open", "");
  wrong.focus();
  return form.reportValidity() && right;
}

function python(asked) {
  return [
    ...openAIClient(),
    "stream = client.chat.completions.create(",
    ...keywords(asked),
    ")",
    "for chunk in stream:",
    "    if chunk.choices:",
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    "    elif chunk.usage:",
    '        print(f"\\n{chunk.usage.completion_tokens} tokens")',
  ];
}

function startOver() {
  running?.abort();
  running = null;
  turns = [];
  log.replaceChildren();
  speed.textContent = "";
  setState();
  message.focus();
}

function setState() {
  // Focus would fall to the page's start when the button that holds it goes away.
  const held = [send, stop].includes(document.activeElement);
  send.hidden = running !== null;
  stop.hidden = running === null;
  if (held) (running ? stop : message).focus();
  const calls = turns.at(-1)?.tool_calls;
  label.textContent = calls ? `Result of ${calls.map((each) => each.function.name).join(", ")}` : "Message";
  showCode();
}
