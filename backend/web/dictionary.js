// The dictionary from A to Z: lists of words, a page at a time, and single entries.

import { askForKey, request } from "./access.js";
import { DIRECTIONS, addressOf } from "./address.js";
import { announce, copy, make, makeButton } from "./dom.js";
import { texts } from "./texts/index.js";
import { entryCard, pair } from "./views/entry.js";
import { problemText } from "./views/turn.js";

const PAGE = 50;
const PAUSE_MS = 150;
const [title, list, filter, filterForm, alphabet, status, words, more, trouble, entry] = [
  "dictionary-title", "browse", "filter", "filter-form", "alphabet", "listed", "words", "more", "trouble", "entry",
].map((id) => document.getElementById(id));
const directions = document.querySelectorAll("#directions a");
/** The list on the page; its rows stay while an entry is shown. */
const shown = { key: "", address: "", next: null, total: 0, opened: "", place: undefined };
const page = { go: (_address, _replace) => {}, ask: (_query) => {} };
let running = new AbortController();
let timer = 0;

/** @param {(address: string, replace?: boolean) => void} go @param {(query: string) => void} ask */
export function startDictionary(go, ask) {
  Object.assign(page, { go, ask });
  filter.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(narrow, PAUSE_MS);
  });
  filterForm.addEventListener("submit", (event) => {
    event.preventDefault();
    narrow();
  });
  more.addEventListener("click", () => void load(shown.place, shown.next));
}

/** What is typed becomes part of the address, without a step back for each letter. */
function narrow() {
  clearTimeout(timer);
  const typed = filter.value.trim();
  if (typed !== shown.place.filter) page.go(addressOf({ dictionary: shown.place.words, filter: typed }), true);
}

/** Show the list that the address names. @param {boolean} arrived from another view, which takes the focus along */
export async function showList(place, arrived) {
  leave(list);
  const { words: of, letter, filter: held } = place;
  document.title = `${texts.dictionary} · ${texts.title}`;
  title.textContent = texts.dictionary;
  title.classList.remove("hidden");
  title.removeAttribute("lang");
  for (const link of directions) {
    link.href = addressOf({ dictionary: link.dataset.words, filter: held });
    mark(link, link.dataset.words === of);
  }
  if (document.activeElement !== filter) filter.value = held;
  const key = JSON.stringify([of, letter, held]);
  Object.assign(shown, { place, address: addressOf({ dictionary: of, letter, filter: held }) });
  const opened = words.querySelector(`[data-id="${CSS.escape(shown.opened)}"]`);
  if (arrived) (key === shown.key && opened ? opened : title).focus();
  if (key !== shown.key) await load(place, null);
}

/** Show one entry. */
export async function showEntry(id) {
  leave(entry);
  shown.opened = id;
  title.classList.add("hidden");
  title.textContent = texts.searching;
  entry.replaceChildren();
  const found = await fetched(`api/rag/entries/${encodeURIComponent(id)}`, () => showEntry(id));
  if (found === undefined) return;
  const { lemma, direction } = found.entry.metadata;
  const name = typeof lemma === "string" ? lemma : found.entry.content;
  const of = direction === "bora_es" ? "bora" : "es";
  document.title = `${name} · ${texts.dictionary} · ${texts.title}`;
  title.textContent = name;
  title.lang = of === "bora" ? "boa" : "es";
  const back = shown.address || addressOf({ dictionary: of, letter: found.letter });
  const meaning = `${name}: ${found.entry.metadata.gloss ?? ""}`;
  const link = new URL(addressOf({ entry: id }), document.baseURI).href;
  const parts = found.subentries.map(({ id: part, metadata }) => row(part, metadata.lemma, metadata.gloss, direction));
  entry.replaceChildren(
    make("p", {}, make("a", { class: "back", href: back }, texts.backToList)),
    make(
      "div",
      { class: "sheet" },
      typeof lemma === "string" ? entryCard(found.entry, found.examples) : make("p", {}, name),
      ...(parts.length > 0 ? [make("h3", {}, texts.subentries), make("ul", { class: "words" }, ...parts)] : []),
      make(
        "div",
        { class: "actions" },
        makeButton(texts.askAbout, () => page.ask(name), "action"),
        makeButton(texts.copy, (button) => copy(button, meaning), "plain"),
        makeButton(texts.link, (button) => copy(button, link), "plain"),
      ),
    ),
  );
  title.focus();
}

/** Change from one of the two to the other; what was still being fetched for the old address is not wanted. */
function leave(part) {
  running.abort();
  running = new AbortController();
  trouble.replaceChildren();
  wait(false);
  for (const each of [list, entry]) each.hidden = each !== part;
}

/** Fetch a page of the list: the first in place of what is shown, another one below it. */
async function load(place, after) {
  const { words: of, letter, filter: held } = place;
  const asked = { direction: DIRECTIONS[of], letter, q: held, after: after ?? "", limit: PAGE };
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
  const mine = running;
  wait(true);
  const found = await fetched(`api/rag/entries?${query}`, () => load(place, after), letter);
  if (mine !== running) return;
  wait(false);
  if (found === undefined) {
    // Rows of another list would be taken for those of this one.
    if (!after) clear();
    return;
  }
  const rows = found.words.map(({ id, word, meaning }) => row(id, word, meaning, DIRECTIONS[of]));
  if (after) words.append(...rows);
  else {
    words.replaceChildren(...rows);
    showAlphabet(found.letters, place);
    const counted = found.letters.filter(({ letter: one }) => !letter || same(one, letter));
    shown.total = counted.reduce((sum, { words: count }) => sum + count, 0);
  }
  Object.assign(shown, { key: JSON.stringify([of, letter, held]), next: found.next });
  more.hidden = !found.next;
  status.replaceChildren(said(place));
  if (shown.total === 0 && held) status.append(" ", makeButton(texts.askFor(held), () => page.ask(held), "plain"));
  announce(said(place));
  if (after) rows[0]?.firstElementChild.focus();
}

function wait(busy) {
  list.setAttribute("aria-busy", String(busy));
  more.disabled = busy;
}

function clear() {
  shown.key = "";
  for (const part of [words, alphabet, status]) part.replaceChildren();
  more.hidden = true;
}

function said({ filter: held }) {
  if (shown.total === 0) return held ? texts.noWords(held) : texts.emptyList;
  const many = words.children.length;
  return many < shown.total ? texts.listedOf(many, shown.total) : texts.listed(shown.total);
}

function showAlphabet(letters, { words: of, letter: current, filter: held }) {
  const focused = alphabet.contains(document.activeElement) ? document.activeElement.dataset.letter : undefined;
  const all = letters.reduce((sum, { words: count }) => sum + count, 0);
  const links = [{ letter: "", words: all }, ...letters].map(({ letter, words: count }) => {
    const name = letter ? letter[0].toUpperCase() + letter.slice(1) : texts.allLetters;
    const href = addressOf({ dictionary: of, letter, filter: held });
    const link = make("a", { href, "data-letter": letter, "aria-label": texts.letter(name, count) }, name);
    if (letter) link.lang = of === "bora" ? "boa" : "es";
    mark(link, same(letter, current));
    return make("li", {}, link);
  });
  alphabet.replaceChildren(...links);
  if (focused !== undefined) (find(focused) ?? find("")).focus();
}

function find(letter) {
  return alphabet.querySelector(`[data-letter="${CSS.escape(letter)}"]`);
}

function row(id, word, meaning, direction) {
  return make("li", {}, make("a", { href: addressOf({ entry: id }), "data-id": id }, pair(word, meaning, direction)));
}

function mark(link, current) {
  if (current) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function same(one, other) {
  return one.normalize().toLowerCase() === other.normalize().toLowerCase();
}

/** What the backend sends; undefined where it sends nothing, which the page then says. @param {() => void} again */
async function fetched(path, again, letter = "") {
  const { signal } = running;
  try {
    const response = await request(path, { signal });
    if (response.ok) return await response.json();
    const said = (await response.json().catch(() => ({}))).error ?? {};
    if (signal.aborted) return undefined;
    if (response.status === 401) askForKey(again);
    // A letter that the other language has.
    if (response.status === 422 && letter) {
      page.go(addressOf({ dictionary: shown.place.words, filter: shown.place.filter }), true);
      return undefined;
    }
    const retryAfter = Number(response.headers.get("retry-after")) || 0;
    show(response.status === 404 ? texts.noEntry : problemText({ type: said.type, retryAfter }), again);
  } catch (error) {
    if (signal.aborted) return undefined;
    show(problemText({ type: error instanceof TypeError ? "unreachable" : "page", retryAfter: 0 }), again);
  }
  return undefined;
}

function show(problem, again) {
  const retry = makeButton(texts.retry, () => {
    trouble.replaceChildren();
    title.focus();
    again();
  }, "plain");
  trouble.replaceChildren(make("div", { class: "problem", role: "alert" }, make("p", {}, problem), retry));
}
