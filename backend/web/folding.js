// Words reduced to the form in which they are compared: the backend's lexical/folding.py, in the browser.

const LETTERS = { ɨ: "i", ʉ: "u", ı: "i", ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l" };
const APOSTROPHES = "'’‘ʼʔˀ`´ʹ′";
const REPLACED = new RegExp(`[${Object.keys(LETTERS).join("")}]`, "g");
const DROPPED = new RegExp(`[${APOSTROPHES}\u00AD]`, "g");
const WORD = new RegExp(`[\\p{L}\\p{N}](?:[\\p{L}\\p{M}\\p{N}\u00AD]|[${APOSTROPHES}](?=\\p{L}))*`, "gu");

/** The words of a text without accents, case, apostrophes or punctuation, one blank between them. */
export function fold(text) {
  const lowered = text.normalize("NFC").toLowerCase().replace(DROPPED, "");
  const bare = lowered.replace(REPLACED, (letter) => LETTERS[letter]).normalize("NFKD").replace(/\p{M}/gu, "");
  return bare
    .replace(REPLACED, (letter) => LETTERS[letter])
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

/** @param {string} text */
export function foldedWords(text) {
  const folded = fold(text);
  return folded === "" ? [] : folded.split(" ");
}

/** The words of a text where they stand: `{word, start, end}`, the word folded. */
export function placedWords(text) {
  return [...text.matchAll(WORD)].map(({ 0: found, index }) => ({
    word: fold(found),
    start: index,
    end: index + found.length,
  }));
}
