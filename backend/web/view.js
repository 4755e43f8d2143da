// Builds what the conversation shows. Text enters the document as text nodes only, never as markup.

import { ANSWER_MODE, KIND, SERVED_BY, duration } from "./words.js";

const SHOWN_SOURCES = 3;
const LANGUAGES = { es_bora: ["es", "boa"], bora_es: ["boa", "es"] };

/** Make an element with attributes and children; strings become text nodes. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** @param {string} text */
export function questionView(text) {
  return make("article", { class: "turn asked", "aria-label": "Tu pregunta" }, make("p", {}, text));
}

/** One answer under way: it grows with `add`, and ends with `finish`, `halt` or `fail`. */
export class AnswerView {
  constructor() {
    this.text = "";
    this.body = make("p", { class: "answer waiting" }, make("span", { class: "hidden" }, "Buscando en el diccionario…"));
    this.extra = make("div", { class: "extra" });
    this.element = make("article", { class: "turn replied", "aria-label": "Respuesta", "aria-busy": "true" });
    this.element.append(this.body, this.extra);
  }

  /** @param {string} delta */
  add(delta) {
    this.show(this.text + delta);
  }

  /** @param {string} text */
  show(text) {
    this.text = text;
    this.body.classList.remove("waiting");
    this.body.textContent = text;
  }

  /** @param {object[]} sources */
  showSources(sources) {
    this.sources?.remove();
    this.sources = sources.length > 0 ? sourcesView(sources) : undefined;
    if (this.sources) this.extra.prepend(this.sources);
  }

  /** The whole answer is authoritative: it replaces what was streamed. */
  finish(answer, elapsedMs, onCopy) {
    this.show(answer.answer);
    if (Array.isArray(answer.sources)) {
      this.showSources(answer.sources);
      this.body.replaceChildren(...withBoraMarked(answer.answer, answer.sources));
    }
    const copy = make("button", { type: "button", class: "quiet copy" }, "Copiar");
    copy.addEventListener("click", () => onCopy(copy, this.text));
    this.extra.append(make("div", { class: "meta" }, metaView(answer, elapsedMs), copy));
    this.settle();
  }

  halt() {
    const started = this.text !== "";
    this.markPartial();
    const note = started ? "Respuesta detenida: este texto no llegó a contrastarse con el diccionario." : "Respuesta detenida.";
    this.extra.prepend(make("p", { class: "note" }, note));
    this.settle();
  }

  /** @param {string} message @param {string} requestId @param {() => void} onRetry */
  fail(message, requestId, onRetry) {
    this.markPartial();
    const retry = make("button", { type: "button", class: "quiet" }, "Reintentar");
    retry.addEventListener("click", onRetry, { once: true });
    const notice = make("div", { class: "problem", role: "alert" }, make("p", {}, message));
    if (requestId) notice.append(make("p", { class: "detail" }, `Referencia: ${requestId}`));
    notice.append(retry);
    this.extra.replaceChildren(notice);
    this.settle();
  }

  /** What was streamed of an answer that never ended was not checked against the dictionary. */
  markPartial() {
    if (this.text === "") this.body.remove();
    else this.body.classList.add("partial");
  }

  settle() {
    this.body.classList.remove("waiting");
    this.element.setAttribute("aria-busy", "false");
  }
}

/** The text in pieces, with the Bora words of the sources set apart and declared as Bora for screen readers. */
function withBoraMarked(text, sources) {
  const words = sources.flatMap((source) => {
    const metadata = source.metadata ?? {};
    const bora = { es_bora: metadata.gloss, bora_es: metadata.lemma }[metadata.direction];
    return typeof bora === "string" ? bora.split(/[;,]/).map((word) => word.trim()) : [];
  });
  const longestFirst = words.filter((word) => word !== "").sort((one, other) => other.length - one.length);
  if (longestFirst.length === 0) return [text];
  const escaped = longestFirst.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\p{L}\\p{M}])(${escaped.join("|")})(?![\\p{L}\\p{M}])`, "giu");
  return text.split(pattern).map((part, index) => (index % 2 === 1 ? make("b", { lang: "boa" }, part) : part));
}

function metaView(answer, elapsedMs) {
  const total = answer.timings?.total_ms ?? elapsedMs;
  const list = make("dl", { class: "facts" });
  const facts = [
    ["Respondió", SERVED_BY[answer.served_by] ?? answer.served_by],
    ["Tiempo", duration(total)],
    ["Respuesta", ANSWER_MODE[answer.answer_mode] ?? answer.answer_mode],
    ["Modelo", answer.served_by === "none" ? undefined : answer.model],
  ];
  for (const [name, value] of facts) {
    if (value) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
  }
  return list;
}

function sourcesView(sources) {
  const section = make("section", { class: "sources", "aria-label": "Fuentes" }, make("h3", {}, "Fuentes"));
  section.append(make("ul", {}, ...sources.slice(0, SHOWN_SOURCES).map(sourceView)));
  const rest = sources.slice(SHOWN_SOURCES);
  if (rest.length > 0) {
    const label = rest.length === 1 ? "Ver 1 más" : `Ver ${rest.length} más`;
    section.append(make("details", {}, make("summary", {}, label), make("ul", {}, ...rest.map(sourceView))));
  }
  return section;
}

function sourceView(source) {
  const { lemma, gloss, pos, direction } = source.metadata ?? {};
  const kind = make("span", { class: "kind" }, KIND[source.kind] ?? String(source.kind ?? "fuente"));
  if (!lemma || !gloss) return make("li", {}, make("span", { class: "content" }, String(source.content ?? "")), kind);
  const [from, to] = LANGUAGES[direction] ?? [];
  const item = make("li", {}, make("span", { class: "lemma", lang: from }, String(lemma)));
  if (pos) item.append(make("span", { class: "pos" }, String(pos)));
  item.append(make("span", { class: "gloss", lang: to }, String(gloss)), kind);
  return item;
}
