// The conversation: what was asked, what is under way, and what the buttons do.

import { AskError, ask } from "./stream.js";
import { AnswerView, make, questionView } from "./view.js";
import { SUGGESTIONS, degradedText, problemText } from "./words.js";

const HISTORY_MESSAGES = 8;
const HISTORY_CHARACTERS = 2000;
const KEY_NAME = "mentor-bora-key";

const at = (id) => document.getElementById(id);
const [log, form, field, send, stop, banner] = ["log", "form", "question", "send", "stop", "banner"].map(at);
const [welcome, restart, announcer, keyDialog] = ["welcome", "restart", "announcer", "key-dialog"].map(at);

/** @type {{role: string, content: string}[]} */
let history = [];
/** @type {AbortController | null} */
let running = null;

async function submit(query) {
  if (running || query === "") return;
  welcome.hidden = true;
  restart.hidden = false;
  log.append(questionView(query));
  await reply(query);
}

async function reply(query) {
  const view = new AnswerView();
  const mine = new AbortController();
  running = mine;
  setBusy(true);
  log.append(view.element);
  view.element.scrollIntoView({ block: "end" });
  const started = performance.now();
  try {
    const answer = await follow(query, view, mine.signal);
    view.finish(answer, performance.now() - started, copyText);
    remember(query, answer.answer);
    showBanner(answer);
    announce(answer.answer);
  } catch (error) {
    recover(error, view, query);
  } finally {
    // A new conversation may have begun meanwhile; then the buttons are no longer ours.
    if (running === mine) {
      running = null;
      setBusy(false);
    }
    keepInView();
  }
}

/** Show the stream as it comes and return the whole answer. */
async function follow(query, view, signal) {
  let answer = null;
  const key = sessionStorage.getItem(KEY_NAME) ?? "";
  for await (const event of ask({ query, history: recent() }, { key, signal })) {
    const following = nearBottom();
    if (typeof event.answer === "string") answer = event;
    else if (typeof event.delta === "string") view.add(event.delta);
    else if (Array.isArray(event.sources)) view.showSources(event.sources);
    if (following) keepInView();
  }
  if (!answer) throw new AskError("interrupted");
  return answer;
}

function recover(error, view, query) {
  if (error.name === "AbortError") {
    view.halt();
    announce("Respuesta detenida.");
    return;
  }
  const problem = error instanceof AskError ? error : new AskError("interrupted");
  if (!(error instanceof AskError)) console.error(error);
  const again = () => {
    view.element.remove();
    field.focus();
    void reply(query);
  };
  view.fail(problemText(problem), problem.requestId, again);
  if (problem.type === "unauthorized" || problem.status === 401) askForKey(again);
}

function askForKey(again) {
  const refused = sessionStorage.getItem(KEY_NAME) !== null;
  sessionStorage.removeItem(KEY_NAME);
  at("key-text").textContent = refused
    ? "El servidor no aceptó esa clave. Escríbela de nuevo."
    : "Este servidor pide una clave de acceso. Se guarda solo hasta que cierres esta pestaña.";
  at("key-form").onsubmit = () => {
    sessionStorage.setItem(KEY_NAME, at("key").value.trim());
    at("key-form").reset();
    again();
  };
  keyDialog.showModal();
}

function recent() {
  return history.slice(-HISTORY_MESSAGES);
}

function remember(query, answer) {
  for (const [role, content] of [["user", query], ["assistant", answer]]) {
    history.push({ role, content: content.slice(0, HISTORY_CHARACTERS) });
  }
}

function showBanner(answer) {
  banner.hidden = !answer.degraded;
  banner.textContent = answer.degraded ? degradedText(answer) : "";
}

function announce(text) {
  announcer.textContent = text;
}

function setBusy(busy) {
  // Focus would fall to the page's start when the button that holds it goes away.
  const held = document.activeElement === send || document.activeElement === stop;
  send.hidden = busy;
  stop.hidden = !busy;
  if (held) field.focus();
  if (busy) announce("Buscando en el diccionario…");
}

function nearBottom() {
  const page = document.documentElement;
  return page.scrollHeight - page.scrollTop - page.clientHeight < 160;
}

function keepInView() {
  window.scrollTo({ top: document.documentElement.scrollHeight });
}

function fitField() {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

function insertLetter(letter) {
  field.setRangeText(letter, field.selectionStart, field.selectionEnd, "end");
  field.focus();
  fitField();
}

async function copyText(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copiado";
  } catch {
    // Browsers give no clipboard to pages served without TLS from another machine.
    button.textContent = "No se pudo copiar";
  }
  announce(button.textContent);
  setTimeout(() => (button.textContent = "Copiar"), 2000);
}

function startOver() {
  running?.abort();
  running = null;
  setBusy(false);
  history = [];
  log.replaceChildren();
  banner.hidden = true;
  welcome.hidden = false;
  restart.hidden = true;
  announce("Conversación nueva.");
  field.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const query = field.value.trim();
  if (running || query === "") return;
  field.value = "";
  fitField();
  void submit(query);
});
field.addEventListener("input", fitField);
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !keyDialog.open) running?.abort();
});
stop.addEventListener("click", () => running?.abort());
restart.addEventListener("click", startOver);
at("key-cancel").addEventListener("click", () => keyDialog.close());
for (const button of document.querySelectorAll("[data-letter]")) {
  button.addEventListener("click", () => insertLetter(button.dataset.letter));
}
for (const text of SUGGESTIONS) {
  const button = make("button", { type: "button", class: "suggestion" }, text);
  button.addEventListener("click", () => {
    field.focus();
    void submit(text);
  });
  at("suggestions").append(make("li", {}, button));
}
field.focus();
