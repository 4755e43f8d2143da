// The page's course: a question goes out, its answer comes in, and what the buttons do.

import { askForKey, isAskingForKey, request } from "./access.js";
import { addressOf, here } from "./address.js";
import { startComposer, write } from "./composer.js";
import { Conversation } from "./conversation.js";
import { showEntry, showList, startDictionary } from "./dictionary.js";
import { announce, make, makeButton } from "./dom.js";
import { showReports } from "./reports.js";
import { look } from "./status.js";
import { AskError, ask } from "./stream.js";
import { startSuggestions } from "./suggestions.js";
import { fillIn, texts } from "./texts/index.js";
import { entryCard } from "./views/entry.js";
import { problemText, render } from "./views/turn.js";

const GAP = 16;
const [log, send, stop, restart, form] = ["log", "send", "stop", "restart", "form"].map((id) =>
  document.getElementById(id),
);
const [box, skip, toAsk, toDictionary] = ["question", "skip", "to-ask", "to-dictionary"].map((id) =>
  document.getElementById(id),
);
const conversation = new Conversation();
/** @type {AbortController | null} */
let running = null;
/** The view that is shown: "ask", "list" or "entry". */
let view = "";
/** The turns asked since the page was loaded. */
const shown = new WeakSet();

const page = {
  log,
  ask: (query) => submit(query),
  again: (turn, explain = false) => running || void reply(turn, explain),
  edit: (query) => write(query),
  stop: () => running?.abort(),
};

/** Take a question on, unless one is under way. */
function submit(query) {
  if (running) return false;
  void reply(conversation.add(query));
  return true;
}

/** @param {import("./conversation.js").Turn} turn a new one, one to ask again, or an answered one to explain */
async function reply(turn, explain = false) {
  const mine = new AbortController();
  running = mine;
  const fresh = explain ? {} : { sources: [], answer: "", explanation: "", facts: undefined };
  Object.assign(turn, fresh, { state: "asking", problem: undefined });
  setPermalink(turn.query);
  setState();
  announce(texts.searching);
  show(turn);
  try {
    const question = { query: turn.query, history: conversation.history(turn), explain };
    for await (const event of ask(question, mine.signal)) {
      if (typeof event.served_by === "string") {
        const { answer, explanation, sources, ...facts } = event;
        Object.assign(turn, { state: "done", answer, explanation: explanation ?? "", sources });
        turn.facts = { ...facts, explained: explain };
      } else Object.assign(turn, event);
      show(turn);
      conversation.save();
    }
    announce(`${turn.answer} ${turn.explanation}`);
    if (turn.facts.degraded) void look();
  } catch (error) {
    // After "Nueva conversación" the turn is no longer shown.
    if (running === mine) fail(turn, error, mine.signal);
  } finally {
    if (running === mine) {
      running = null;
      setState();
      conversation.save();
    }
  }
}

function fail(turn, error, stopped) {
  if (stopped.aborted) turn.state = "stopped";
  else {
    const known = error instanceof AskError ? error : new AskError("page");
    if (known !== error) console.error(error);
    turn.state = "failed";
    turn.problem = { type: known.type, requestId: known.requestId, retryAfter: known.retryAfter };
    void look();
    if (known.status === 401) askForKey(() => page.again(turn));
  }
  show(turn);
  announce(turn.state === "stopped" ? texts.stopped : problemText(turn.problem));
}

/** Show a turn; the newest is kept in view while it grows, but never at the cost of its beginning. */
function show(turn) {
  const followed = !shown.has(turn) || isInView(log.lastElementChild);
  shown.add(turn);
  const element = render(turn, page);
  if (!followed || element !== log.lastElementChild) return;
  const top = element.previousElementSibling.getBoundingClientRect().top - GAP;
  const below = element.getBoundingClientRect().bottom + GAP - form.getBoundingClientRect().top;
  if (Math.min(top, below) > 0) window.scrollBy({ top: Math.min(top, below), behavior: "instant" });
}

/** Whether the reader has not scrolled back to something else. */
function isInView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top < innerHeight && bottom > 0;
}

function setState() {
  document.body.classList.toggle("fresh", conversation.turns.length === 0);
  // Focus would fall to the page's start when the button that holds it goes away.
  const held = [send, stop].includes(document.activeElement);
  send.hidden = running !== null;
  stop.hidden = running === null;
  if (held) box.focus();
}

function setPermalink(query) {
  toAsk.href = addressOf({ q: query });
  if (here().view === "ask") window.history.replaceState(null, "", toAsk.href);
}

function startOver() {
  running?.abort();
  running = null;
  conversation.clear();
  log.replaceChildren();
  setPermalink("");
  setState();
  announce(texts.restarted);
  box.focus();
}

/** Questions to begin with, and an entry as the dictionary has it. */
async function showStart() {
  const { suggestions, reports } = await (await request("page.json")).json();
  showReports(reports);
  const items = suggestions.map((text) => make("li", {}, makeButton(text, () => submit(text), "example")));
  document.getElementById("examples").replaceChildren(...items);
  const found = await request(`api/rag/search?top_k=1&q=${encodeURIComponent(suggestions[0])}`);
  const source = found.ok ? (await found.json()).results[0] : undefined;
  if (source?.metadata.lemma) document.getElementById("sample").replaceChildren(make("p", { class: "soft" }, texts.sample), entryCard(source));
}

/** Show the view that the address names. @param {boolean} arrived not by loading the page */
function route(arrived) {
  const place = here();
  const asks = place.view === "ask";
  document.body.dataset.view = asks ? "ask" : "dictionary";
  for (const [link, current] of [[toAsk, asks], [toDictionary, !asks]]) {
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  skip.href = asks ? "#question" : "#dictionary-title";
  skip.textContent = asks ? texts.skip : texts.skipToDictionary;
  const same = view === place.view;
  view = place.view;
  if (place.view === "list") return void showList(place, arrived && !same);
  if (arrived && !same) window.scrollTo({ top: 0, behavior: "instant" });
  if (place.view === "entry") return void showEntry(place.id);
  document.title = texts.title;
  if (log.lastElementChild) log.lastElementChild.scrollIntoView({ block: "end" });
  box.focus({ preventScroll: true });
}

/** Go to another address of this page. */
function go(address, replace = false) {
  window.history[replace ? "replaceState" : "pushState"](null, "", address);
  route(true);
}

/** A link of this page changes the view without loading it again; with a key held down it opens as links do. */
function follow(event) {
  const link = event.target.closest("a[href]");
  const otherwise = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || otherwise || link.hash || link.origin + link.pathname !== location.origin + location.pathname) return;
  event.preventDefault();
  if (link.href !== location.href) go(link.href);
}

fillIn();
startSuggestions((word) => submit(word) && write(""));
startComposer(submit, () => conversation.turns.at(-1)?.query);
startDictionary(go, (query) => {
  go(addressOf({ q: query }));
  if (!submit(query)) write(query);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !isAskingForKey()) running?.abort();
});
document.addEventListener("click", follow);
window.addEventListener("popstate", () => route(true));
stop.addEventListener("click", page.stop);
restart.addEventListener("click", startOver);
for (const turn of conversation.turns) render(turn, page);
setState();
toAsk.href = addressOf({});
toDictionary.href = addressOf({ dictionary: "es" });
const asked = here().query;
if (asked && conversation.turns.at(-1)?.query !== asked) submit(asked);
route(false);
void look();
// Without examples the page works as well.
showStart().catch(() => {});
