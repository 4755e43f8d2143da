// One turn of the conversation as the page shows it: the question, and its answer while it grows.

import { make, makeButton, plain } from "./dom.js";
import { Highlighter } from "./highlight.js";
import { boraWords, sourcesView } from "./source_view.js";
import { ANSWER_MODE, SERVED_BY, duration } from "./words.js";

/** @param {string} text */
export function questionView(text) {
  return make("article", { class: "turn asked", "aria-label": "Tu pregunta" }, make("p", {}, text));
}

/** One answer under way: it grows with `add`, and ends with `finish`, `halt` or `fail`. */
export class AnswerView {
  /** @param {string} question */
  constructor(question) {
    this.highlighter = new Highlighter(question);
    this.text = "";
    this.shownSources = "";
    this.body = make("p", { class: "answer waiting" }, make("span", { class: "hidden" }, "Buscando en el diccionario…"));
    this.extra = make("div", { class: "extra" });
    this.meta = make("div", { class: "meta" }, make("p", { class: "progress", "aria-hidden": "true" }, "Buscando…"));
    this.element = make("article", { class: "turn replied", "aria-label": "Respuesta", "aria-busy": "true" });
    this.element.append(this.body, this.extra, this.meta);
  }

  /** @param {string} delta */
  add(delta) {
    this.show(this.text + plain(delta));
  }

  show(text) {
    if (this.text === "") this.meta.firstChild.textContent = "Escribiendo…";
    this.text = text;
    this.body.classList.remove("waiting");
    this.body.textContent = text;
  }

  /** @param {object[]} sources */
  showSources(sources) {
    const shown = JSON.stringify(sources);
    // Shown anew they would lose the reader's focus and what is unfolded.
    if (shown === this.shownSources) return;
    this.shownSources = shown;
    this.sources?.remove();
    this.sources = sources.length > 0 ? sourcesView(sources, this.highlighter) : undefined;
    if (this.sources) this.extra.prepend(this.sources);
  }

  /**
   * The whole answer has been checked: it replaces what was streamed, and what stands below stays where it is.
   * @param {object} answer @param {number} elapsedMs @param {(button: HTMLElement, text: string) => void} onCopy
   */
  finish(answer, elapsedMs, onCopy) {
    const height = this.body.offsetHeight;
    const sources = Array.isArray(answer.sources) ? answer.sources : [];
    this.show(plain(answer.answer));
    this.body.replaceChildren(...withBoraMarked(this.text, boraWords(sources)));
    this.showSources(sources);
    this.hold(height);
    const copy = makeButton("Copiar", () => onCopy(copy, this.text), "quiet copy");
    this.settle(factsView(answer, elapsedMs), copy);
  }

  /** Keep the place of a longer text, and let it go gently; where motion is not wanted, `release` lets it go. */
  hold(height) {
    if (this.body.offsetHeight >= height) return;
    this.body.style.minHeight = `${height}px`;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    // Read once more, so that the browser takes the height as the one to start from.
    void this.body.offsetHeight;
    this.release();
  }

  release() {
    this.body.classList.add("settling");
    this.body.style.minHeight = "";
  }

  /** What was streamed is kept, and marked as what it is. @param {string} [text] */
  halt(text = this.text) {
    this.text = plain(text);
    this.body.textContent = this.text;
    this.markPartial();
    const note = "Respuesta detenida" + (this.text ? ": este texto no llegó a contrastarse con el diccionario." : ".");
    this.extra.prepend(make("p", { class: "note" }, note));
    this.settle();
  }

  /** @param {string} message @param {string} requestId @param {() => void} onRetry */
  fail(message, requestId, onRetry) {
    this.markPartial();
    const notice = make("div", { class: "problem", role: "alert" }, make("p", {}, message));
    if (requestId) notice.append(make("p", { class: "detail" }, `Referencia: ${requestId}`));
    notice.append(makeButton("Reintentar", onRetry));
    this.extra.replaceChildren(notice);
    this.settle();
  }

  markPartial() {
    if (this.text === "") this.body.remove();
    else this.body.classList.add("partial");
  }

  settle(...meta) {
    this.body.classList.remove("waiting");
    this.element.setAttribute("aria-busy", "false");
    if (meta.length > 0) this.meta.replaceChildren(...meta);
    else this.meta.remove();
  }
}

/** The text in pieces, with Bora words set apart and declared as Bora for screen readers. */
function withBoraMarked(text, words) {
  if (words.length === 0) return [text];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\p{L}\\p{M}])(${escaped.join("|")})(?![\\p{L}\\p{M}])`, "giu");
  return text.split(pattern).map((part, index) => (index % 2 === 1 ? make("b", { lang: "boa" }, part) : part));
}

/** Who answered, and how fast. */
function factsView(answer, elapsedMs) {
  const { total_ms: total = elapsedMs, retrieval_ms: search } = answer.timings ?? {};
  const searched = search === undefined ? "" : ` (búsqueda ${duration(search)})`;
  const facts = [
    ["Respondió", SERVED_BY[answer.served_by] ?? answer.served_by],
    ["Tiempo", duration(total) + searched],
    ["Respuesta", ANSWER_MODE[answer.answer_mode] ?? answer.answer_mode],
    ["Modelo", answer.served_by === "none" ? undefined : answer.model?.split("/").pop()],
  ];
  const known = facts.filter(([, value]) => value);
  return make(
    "dl",
    { class: "facts" },
    ...known.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))),
  );
}
