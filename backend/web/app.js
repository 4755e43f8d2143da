// The page's course: a question goes out, its answer comes in, and what the buttons do.

import { askForKey, isAskingForKey, key } from "./access.js";
import { announce } from "./announcer.js";
import { AnswerView, questionView } from "./answer_view.js";
import { hideBanner, showBanner } from "./banner.js";
import { startComposer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { make, makeButton } from "./dom.js";
import { bringIntoView, isFollowed } from "./scroll.js";
import { AskError, ask } from "./stream.js";
import { degradedText, outageText, problemText } from "./words.js";

const [log, send, stop, welcome, restart] = ["log", "send", "stop", "welcome", "restart"].map((id) =>
  document.getElementById(id),
);
const conversation = new Conversation();
/** @type {AbortController | null} */
let running = null;
/** The newest answer. @type {AnswerView | null} */
let latest = null;

/** Take a question on, unless one is under way. */
function submit(query) {
  if (running) return false;
  setBegun(true);
  log.append(questionView(query));
  void reply(query);
  return true;
}

async function reply(query) {
  latest?.release();
  const view = (latest = new AnswerView(query));
  const mine = new AbortController();
  running = mine;
  setBusy(true);
  announce("Buscando en el diccionario…");
  log.append(view.element);
  bringIntoView(view.element);
  const started = performance.now();
  try {
    const answer = await receive(query, view, mine.signal);
    const followed = isFollowed(view.element);
    view.finish(answer, performance.now() - started, copyText);
    if (followed) bringIntoView(view.element);
    conversation.add({ query, answer });
    announce(...view.body.childNodes);
    if (answer.degraded) showBanner("model", degradedText(answer));
    else hideBanner();
  } catch (error) {
    // After "Nueva conversación" nobody is left to tell.
    if (running === mine) recover(error, view, query);
  } finally {
    if (running === mine) {
      running = null;
      setBusy(false);
    }
  }
}

/** Show the stream as it comes and return the whole answer. */
async function receive(query, view, signal) {
  let answer = null;
  for await (const event of ask({ query, history: conversation.history() }, { key: key(), signal })) {
    const followed = isFollowed(view.element);
    if (typeof event.answer === "string") answer = event;
    else if (typeof event.delta === "string") view.add(event.delta);
    else if (Array.isArray(event.sources)) view.showSources(event.sources);
    if (followed) bringIntoView(view.element);
  }
  if (!answer) throw new AskError("interrupted");
  return answer;
}

function recover(error, view, query) {
  if (error.name === "AbortError") {
    view.halt();
    conversation.add({ query, partial: view.text });
    announce("Respuesta detenida.");
    return;
  }
  const problem = error instanceof AskError ? error : new AskError("page");
  if (!(error instanceof AskError)) console.error(error);
  const again = () => {
    if (running) return;
    view.element.remove();
    document.getElementById("question").focus();
    void reply(query);
  };
  view.fail(problemText(problem), problem.requestId, again);
  bringIntoView(view.element);
  // The notice is an alert, and speaks for itself.
  announce("");
  const outage = outageText(problem);
  if (outage) showBanner("server", outage);
  if (problem.status === 401) askForKey(again);
}

function setBegun(begun) {
  welcome.hidden = begun;
  restart.hidden = !begun;
}

function setBusy(busy) {
  // Focus would fall to the page's start when the button that holds it goes away.
  const held = document.activeElement === send || document.activeElement === stop;
  send.hidden = busy;
  stop.hidden = !busy;
  if (held) field.focus();
}

function startOver() {
  running?.abort();
  running = null;
  setBusy(false);
  conversation.clear();
  log.replaceChildren();
  hideBanner();
  setBegun(false);
  announce("Conversación nueva.");
  field.focus();
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

/** Show again what was said before the page was loaded anew. */
function restore() {
  for (const { query, answer, partial } of conversation.turns) {
    const view = new AnswerView(query);
    log.append(questionView(query), view.element);
    if (answer) view.finish(answer, 0, copyText);
    else view.halt(partial);
  }
  setBegun(conversation.turns.length > 0);
  if (log.lastElementChild) bringIntoView(log.lastElementChild);
}

async function suggest() {
  const response = await fetch(new URL("page.json", document.baseURI));
  if (!response.ok) return;
  const { suggestions } = await response.json();
  const buttons = suggestions.map((text) =>
    makeButton(
      text,
      () => {
        field.focus();
        submit(text);
      },
      "suggestion",
    ),
  );
  document.getElementById("suggestions").replaceChildren(...buttons.map((button) => make("li", {}, button)));
}

const field = startComposer({ onSend: submit });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !isAskingForKey()) running?.abort();
});
stop.addEventListener("click", () => running?.abort());
restart.addEventListener("click", startOver);
restore();
field.focus({ preventScroll: true });
// Without suggestions the page works as well.
suggest().catch(() => {});
