// The entries an answer rests on, with the words that were asked for marked.

import { make } from "./dom.js";
import { KIND, REASON } from "./words.js";

const SHOWN = 3;
const LANGUAGES = { es_bora: ["es", "boa"], bora_es: ["boa", "es"] };

/** @param {object[]} sources @param {import("./highlight.js").Highlighter} highlighter */
export function sourcesView(sources, highlighter) {
  const item = (source) => sourceView(source, highlighter);
  const section = make("div", { class: "sources", role: "group", "aria-label": "Fuentes" }, make("h3", {}, "Fuentes"));
  section.append(make("ul", {}, ...sources.slice(0, SHOWN).map(item)));
  const rest = sources.slice(SHOWN);
  if (rest.length > 0) {
    const summary = make("summary", {}, rest.length === 1 ? "Ver 1 más" : `Ver ${rest.length} más`);
    section.append(make("details", {}, summary, make("ul", {}, ...rest.map(item))));
  }
  return section;
}

/** The Bora words of the sources, the longest first. */
export function boraWords(sources) {
  const words = sources.flatMap(({ metadata }) => {
    const bora = { es_bora: metadata?.gloss, bora_es: metadata?.lemma }[metadata?.direction];
    return typeof bora === "string" ? bora.split(/[;,]/).map((word) => word.trim()) : [];
  });
  return words.filter((word) => word !== "").sort((one, other) => other.length - one.length);
}

function sourceView(source, highlighter) {
  const { lemma, gloss, pos, direction, parent_lemma: parent } = source.metadata ?? {};
  const reasons = Array.isArray(source.matched_on) ? source.matched_on : undefined;
  const marked = (tag, attributes, text) => make(tag, attributes, ...highlighter.pieces(String(text), reasons));
  if (!lemma || !gloss) return make("li", {}, marked("span", { class: "content" }, source.content ?? ""), origin(source));
  const [from, to] = LANGUAGES[direction] ?? [];
  const item = make("li", {}, marked("span", { class: "lemma", lang: from }, lemma));
  if (pos) item.append(make("span", { class: "pos" }, String(pos)));
  item.append(marked("span", { class: "gloss", lang: to }, gloss));
  if (parent && parent !== lemma) {
    item.append(make("span", { class: "parent" }, "en la entrada ", make("span", { lang: from }, String(parent))));
  }
  item.append(origin(source));
  return item;
}

/** What kind of source it is and, where the backend tells, why it was found. */
function origin(source) {
  const kind = KIND[source.kind] ?? String(source.kind ?? "fuente");
  const reason = Array.isArray(source.matched_on) ? REASON[source.matched_on[0]] : undefined;
  return make("span", { class: "kind" }, reason ? `${kind} · ${reason}` : kind);
}
