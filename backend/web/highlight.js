// Which words of a source are the ones that were asked for.

import { make, plain } from "./dom.js";
import { fold, foldedWords, placedWords } from "./folding.js";

// Words that belong to the question and not to what is looked up.
const FRAME = new Set(
  `a al alguien bora castellano como con cual cuales de del dice dicen digo e el en es espanol esta este favor frase
  gracias hola idioma la las le lengua lo los me o oye palabra para por puedes que quiere quiero se seria si
  significa significado significan su sus te traduce traduceme traducir traduccion tu u un una unas unos y`.split(/\s+/),
);
const PHRASE_REASONS = ["lemma", "variant", "gloss", "subentry", "example"];
const SENSES = /[,;/|•]/;
const SHORTEST_STEM = 4;
const SHORTEST_TYPO = 4;

/** Marks in the texts of sources what a question asked for. */
export class Highlighter {
  /** @param {string} question */
  constructor(question) {
    this.asked = ` ${fold(question)} `;
    const every = foldedWords(question).filter((word) => word.length > 1);
    this.words = every.filter((word) => !FRAME.has(word));
  }

  /**
   * The text in pieces: strings, and `mark` elements around what matched.
   * @param {string} text
   * @param {string[] | undefined} reasons the source's `matched_on`, where the backend tells
   */
  pieces(text, reasons) {
    const shown = plain(text);
    const pieces = [];
    let done = 0;
    for (const { start, end } of this.matches(shown, reasons)) {
      pieces.push(shown.slice(done, start), make("mark", {}, shown.slice(start, end)));
      done = end;
    }
    return [...pieces, shown.slice(done)].filter((piece) => piece !== "");
  }

  matches(text, reasons) {
    // Found by its meaning alone: no word of it was asked for.
    if (reasons && reasons.every((reason) => reason === "vector")) return [];
    const placed = placedWords(text);
    const whole = !reasons || reasons.some((reason) => PHRASE_REASONS.includes(reason)) ? this.wholeSenses(text) : [];
    for (const alike of [same, sameStem, oneSlipApart]) {
      if (alike === oneSlipApart && reasons && !reasons.includes("typo")) continue;
      const found = placed.filter(({ word }, at) => whole.includes(at) || this.words.some((other) => alike(word, other)));
      if (found.length > 0) return found;
    }
    return [];
  }

  /** Positions of the words of each sense that stands in the question as it is, frame words included. */
  wholeSenses(text) {
    const positions = [];
    let at = 0;
    for (const sense of text.split(SENSES)) {
      const folded = foldedWords(sense);
      const isFrame = folded.every((word) => FRAME.has(word));
      // "en" stands in every question: a sense made of frame words alone counts only when nothing else was asked.
      const counts = folded.length > 0 && (!isFrame || this.words.length === 0);
      if (counts && this.asked.includes(` ${folded.join(" ")} `)) positions.push(...folded.map((_, index) => at + index));
      at += folded.length;
    }
    return positions;
  }
}

function same(one, other) {
  return one === other;
}

/** "perros" and "perro", "cantando" and "cantar": a long common beginning. */
function sameStem(one, other) {
  const longer = Math.max(one.length, other.length);
  let shared = 0;
  while (shared < longer && one[shared] === other[shared]) shared += 1;
  return shared >= SHORTEST_STEM && shared >= longer * 0.6;
}

/** One letter too many, too few, wrong, or two swapped. */
function oneSlipApart(one, other) {
  if (Math.min(one.length, other.length) < SHORTEST_TYPO) return false;
  const [short, long] = one.length <= other.length ? [one, other] : [other, one];
  let start = 0;
  while (start < short.length && short[start] === long[start]) start += 1;
  const [rest, longRest] = [short.slice(start), long.slice(start)];
  if (short.length + 1 === long.length) return rest === longRest.slice(1);
  const swapped = rest[0] === longRest[1] && rest[1] === longRest[0] && rest.slice(2) === longRest.slice(2);
  return short.length === long.length && (rest.slice(1) === longRest.slice(1) || swapped);
}
