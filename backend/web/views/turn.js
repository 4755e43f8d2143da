// One turn of the conversation: the question, what was found, its answer, and how it stands with it.

import { copy, make, makeButton, plain } from "../dom.js";
import { opinions, wantedReport } from "../reports.js";
import { texts } from "../texts/index.js";
import { entryCard, entryTable, pair, passage } from "./entry.js";

const NEAREST = 3;
/** What is shown of each turn. @type {WeakMap<object, Record<string, HTMLElement>>} */
const shown = new WeakMap();

/**
 * Show a turn as it is now. A part changes only with what it shows, so that nothing moves above what is new.
 * @param {import("../conversation.js").Turn} turn
 * @param {{log: HTMLElement, ask: (query: string) => void, again: (turn: object, explain?: boolean) => void,
 *   edit: (query: string) => void, stop: () => void}} page
 */
export function render(turn, page) {
  if (!shown.has(turn)) shown.set(turn, begin(turn, page));
  const view = shown.get(turn);
  const known = turn.facts?.missing ?? [];
  fill(view.found, [turn.sources, known], () => foundView(turn, page));
  fill(view.text, [spoken(turn), turn.explanation], () => [
    ...(spoken(turn) ? [make("p", { class: "answer" }, ...boraSetApart(spoken(turn), turn.sources))] : []),
    ...(turn.explanation ? [make("p", { class: "answer" }, ...boraSetApart(turn.explanation, turn.sources))] : []),
  ]);
  fill(view.state, [turn.state, turn.sources.length, turn.answer, turn.explanation], () => stateView(turn, page));
  view.element.setAttribute("aria-busy", String(turn.state === "asking"));
  return view.element;
}

function begin(turn, page) {
  const edit = makeButton("✎", () => page.edit(turn.query), "edit");
  edit.setAttribute("aria-label", texts.edit);
  const asked = make("article", { class: "turn asked", "aria-label": texts.question }, make("p", {}, turn.query), edit);
  const [found, text, state] = ["found", "text", "state"].map((name) => make("div", { class: name }));
  const element = make("article", { class: "turn replied", "aria-label": texts.answer }, found, text, state);
  page.log.append(asked, element);
  return { element, found, text, state };
}

function fill(part, values, content) {
  const key = JSON.stringify(values);
  if (part.key === key) return;
  part.key = key;
  const held = part.contains(document.activeElement);
  part.replaceChildren(...content());
  if (held) document.getElementById("question").focus();
}

function foundView({ sources, query, facts }, page) {
  const entries = sources.filter(isEntry);
  const answers = entries.filter((source) => source.role === "answer" && !isExample(source));
  const shownEntries = answers.length > 0 ? answers : entries.filter((source) => source.role === "answer");
  const rest = entries.filter((source) => !shownEntries.includes(source));
  const passages = sources.filter((source) => !isEntry(source));
  const missing = facts?.missing ?? [];
  const parts = [];
  if (isList(shownEntries, missing)) parts.push(entryTable(shownEntries, missing));
  else if (shownEntries.length > 0) parts.push(cards(shownEntries, rest));
  else if (missing.length > 0) parts.push(...notFound(missing, rest, page));
  parts.push(...wantedReport(missing));
  const similar = shownEntries.length > 0 ? rest.filter((source) => !isExample(source)) : rest.slice(NEAREST);
  if (similar.length > 0) {
    const rows = similar.map(({ metadata: { lemma, gloss, direction } }) => make("li", {}, pair(lemma, gloss, direction)));
    parts.push(make("details", {}, make("summary", {}, texts.similar(similar.length)), make("ul", {}, ...rows)));
  }
  if (passages.length > 0) {
    const items = passages.map((source, at) => make("li", {}, passage(source, at + 1)));
    parts.push(make("ul", { class: "passages", "aria-label": texts.passages }, ...items));
  }
  return parts;
}

function cards(entries, rest) {
  const of = ({ metadata: { lemma } }) => rest.filter((other) => isExample(other) && other.metadata.parent_lemma === lemma);
  const items = entries.map((source) => make("li", {}, entryCard(source, of(source))));
  return make("ol", { class: entries.length > 1 ? "cards numbered" : "cards", "aria-label": texts.entries }, ...items);
}

function notFound(missing, nearest, page) {
  const chips = nearest.slice(0, NEAREST).map(({ metadata: { lemma, gloss, direction } }) => {
    const chip = makeButton("", () => page.ask(lemma), "quiet");
    chip.append(pair(lemma, gloss, direction));
    return make("li", {}, chip);
  });
  const what = make("p", { class: "not-found" }, texts.notFound(missing));
  if (chips.length === 0) return [what];
  return [what, make("p", { class: "soft" }, texts.nearest), make("ul", { class: "chips" }, ...chips)];
}

/** Words of one list; entries that share a side are senses of one word. */
function isList(entries, missing) {
  const sides = (name) => new Set(entries.map(({ metadata }) => metadata[name])).size === entries.length;
  return entries.length + missing.length > 1 && entries.length > 0 && sides("lemma") && sides("gloss");
}

/** The text shown beside what was found: cards that are the answer need no sentence that says the same. */
function spoken({ answer, sources, facts }) {
  if (facts === undefined) return "";
  const said = facts.answer_mode === "extractive" && !facts.says_more && sources.some(isEntry);
  return said || facts.missing.length > 0 ? "" : plain(answer);
}

function stateView(turn, page) {
  const found = turn.sources.length > 0;
  const line = (text, ...more) => make("p", { class: "soft" }, text, " ", ...more);
  const again = () => makeButton(texts.retry, () => page.again(turn), "plain");
  if (turn.state === "asking") {
    const under = turn.answer ? texts.explaining : texts.wording;
    return [found ? line(under, "· ", makeButton(texts.omit, page.stop, "plain")) : line(texts.searching)];
  }
  if (turn.state === "stopped") return [line(`${texts.stopped} ${found ? texts.keptEntries : ""}`, again())];
  if (turn.state === "failed") {
    if (turn.problem.type === "deadline_exceeded" && found) return [line(`${texts.late} ${texts.keptEntries}`, again())];
    const said = problemText(turn.problem);
    if (found) return [line(`${said} ${texts.keptEntries}`, again())];
    const reference = turn.problem.requestId ? `${texts.facts.id}: ${turn.problem.requestId}` : "";
    return [make("div", { class: "problem", role: "alert" }, make("p", {}, said), make("p", {}, reference), again())];
  }
  return [doneView(turn, page)];
}

function doneView(turn, page) {
  const { facts } = turn;
  const link = new URL(`?q=${encodeURIComponent(turn.query)}`, document.baseURI);
  const buttons = [
    makeButton(texts.copy, (button) => copy(button, turn.explanation ? `${turn.answer}\n${turn.explanation}` : turn.answer), "plain"),
    makeButton(texts.link, (button) => copy(button, link.href), "plain"),
  ];
  if (turn.sources.some(({ role }) => role === "answer") && !turn.explanation && !facts.explained) {
    buttons.push(makeButton(texts.explain, () => page.again(turn, true), "plain"));
  }
  const why = facts.reason ? (texts.reasons[facts.reason] ?? texts.noModel) : "";
  const times = facts.timings ?? {};
  const rows = [
    [texts.facts.served_by, texts.servedBy[facts.served_by] ?? facts.served_by],
    [texts.facts.mode, texts.modes[facts.answer_mode] ?? facts.answer_mode],
    [texts.facts.model, facts.model === "none" ? "" : facts.model],
    [texts.facts.time, times.total_ms === undefined ? "" : texts.duration(times.total_ms)],
    [texts.facts.search, times.retrieval_ms === undefined ? "" : texts.duration(times.retrieval_ms)],
    [texts.facts.id, facts.request_id],
  ].filter(([, value]) => value);
  const list = rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
  return make(
    "div",
    { class: "done" },
    why ? make("p", { class: "soft why" }, why) : undefined,
    make("details", { class: "facts" }, make("summary", {}, provenance(turn) || texts.details), make("dl", {}, ...list)),
    make("div", {}, opinions(turn.sources, facts), ...buttons),
  );
}

/** Who made the text that is shown. */
function provenance({ facts, sources, explanation }) {
  if (facts.answer_mode !== "extractive" || explanation) {
    const name = facts.model === "none" ? texts.model : plain(facts.model).split("/").pop();
    const model = facts.degraded && !facts.reason ? `${name} (${texts.reserve})` : name;
    return facts.answer_mode === "completed" ? texts.source.completed(model) : texts.source.model(model);
  }
  return sources.length > 0 ? texts.source[isEntry(sources[0]) ? "dictionary" : "passage"] : "";
}

/** @param {{type: string, retryAfter: number}} problem */
export function problemText({ type, retryAfter }) {
  const [what, next] = texts.problems[type] ?? texts.problems.internal;
  return `${what} ${retryAfter > 0 ? texts.again(retryAfter) : next}`;
}

function isEntry({ metadata }) {
  return Boolean(metadata?.lemma && metadata?.gloss);
}

function isExample({ metadata }) {
  return metadata.part === "example";
}

/** The text in pieces, with the Bora words of the sources set apart and declared as Bora for screen readers. */
function boraSetApart(text, sources) {
  const words = sources.filter(isEntry).flatMap(({ metadata: { lemma, gloss, direction } }) => {
    const bora = { es_bora: gloss, bora_es: lemma }[direction] ?? "";
    return bora.split(/[;,]/).map((word) => word.trim()).filter(Boolean);
  });
  if (words.length === 0) return [plain(text)];
  const longest = words.sort((one, other) => other.length - one.length);
  const escaped = longest.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\p{L}\\p{M}])(${escaped.join("|")})(?![\\p{L}\\p{M}])`, "giu");
  return plain(text).split(pattern).map((part, at) => (at % 2 === 1 ? make("b", { lang: "boa" }, part) : part));
}
