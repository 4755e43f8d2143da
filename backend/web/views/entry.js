// Dictionary entries as cards, rows and a table, and passages of texts.

import { make, plain } from "../dom.js";
import { errorReport } from "../reports.js";
import { texts } from "../texts/index.js";

const LANGUAGES = { es_bora: ["es", "boa"], bora_es: ["boa", "es"] };

/** The headword, its meaning, and all that the entry says. @param {object} source @param {object[]} examples */
export function entryCard(source, examples = []) {
  const { lemma, gloss, pos, pos_full: kind, direction, parent_lemma: parent, part, ...more } = source.metadata;
  const [from, to] = LANGUAGES[direction] ?? [];
  const word = (text) => make("span", { lang: from }, text);
  const facts = [
    [texts.variants, joined(more.variants, word)],
    [texts.synonyms, joined(more.synonyms, (text) => make("span", { lang: to }, text))],
    [texts.partOf, part !== "entry" && parent && parent !== lemma ? [word(parent)] : []],
    [texts.samples, examples.map(({ metadata: { lemma: one, gloss: other } }) => make("p", {}, pair(one, other, direction)))],
    [texts.notes, joined(more.notes, (text) => text)],
  ].filter(([, content]) => content.length > 0);
  return make(
    "div",
    { class: "entry" },
    make("p", { class: "head" }, make("b", { lang: from }, lemma), " ", make("i", {}, String(kind || pos || ""))),
    make("p", { class: "gloss", lang: to }, gloss),
    facts.length > 0
      ? make("dl", {}, ...facts.map(([name, content]) => make("div", {}, make("dt", {}, name), make("dd", {}, ...content))))
      : undefined,
    errorReport(source.id),
  );
}

/** One line: both languages. */
export function pair(lemma, gloss, direction) {
  const [from, to] = LANGUAGES[direction] ?? [];
  return make("span", { class: "pair" }, make("b", { lang: from }, lemma), " ", make("span", { lang: to }, gloss));
}

/** Several words that were asked for, those without an entry marked. @param {object[]} sources @param {string[]} missing */
export function entryTable(sources, missing) {
  const row = ({ metadata: { lemma, gloss, direction } }) => {
    const [spanish, bora] = direction === "bora_es" ? [gloss, lemma] : [lemma, gloss];
    return make("tr", {}, make("th", { scope: "row" }, spanish), make("td", { lang: "boa" }, bora));
  };
  const lost = (word) =>
    make("tr", { class: "missing" }, make("th", { scope: "row" }, word), make("td", {}, texts.absent));
  const column = (name) => make("th", { scope: "col" }, name);
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, column(texts.spanish), column(texts.bora))),
    make("tbody", {}, ...sources.map(row), ...missing.map(lost)),
  );
}

/** A passage, folded, with what the answer rests on marked. @param {object} source @param {number} place from 1 */
export function passage(source, place) {
  const { source: file, title, heading, page } = source.metadata;
  const name = [file, title, heading, page].filter((part) => typeof part === "string" || typeof part === "number");
  const summary = make("summary", {}, `[${place}] ${name.join(" · ") || texts.passage(place)}`);
  return make("details", { class: "passage" }, summary, make("p", {}, ...marked(source.content, source.spans ?? [])));
}

/** Spans are in characters, which are one or two of JavaScript's units. */
function marked(content, spans) {
  const characters = [...content];
  const pieces = [];
  let done = 0;
  for (const [start, end] of spans) {
    pieces.push(characters.slice(done, start).join(""), make("mark", {}, characters.slice(start, end).join("")));
    done = end;
  }
  return [...pieces, plain(characters.slice(done).join(""))];
}

function joined(values, element) {
  const known = Array.isArray(values) ? values.filter((value) => typeof value === "string") : [];
  return known.flatMap((value, at) => (at > 0 ? [", ", element(value)] : [element(value)]));
}
