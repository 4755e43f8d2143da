// Words reduced to the form in which they are compared: the backend's lexical/folding.py, in the browser.

const LETTERS = { ɨ: "i", ʉ: "u", ı: "i", ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l" };
const APOSTROPHES = "'’‘ʼʔˀ`´ʹ′ʻ‛ꞌ＇ˈˊˋɂɁ";
const REPLACED = new RegExp(`[${Object.keys(LETTERS).join("")}]`, "g");
const DROPPED = new RegExp(`[${APOSTROPHES}\u00AD]`, "g");
// Where no ɨ is to be had, scanners and typists put a plus; a scanner's backslash is a speck in a word.
const PLUS_IN_WORD = /(?<=\p{L})[\u0300-\u036F]*\+|\+(?=\p{L})/gu;
const SPECK_IN_WORD = /(?<=[\p{L}\p{N}_])\\(?=[\p{L}\p{N}_])/gu;
const FIRST = "(?:[\\p{L}\\p{N}]|\\+(?=\\p{L}))";
const PLUS = "(?<=[\\p{L}\\p{M}])\\+|\\+(?=\\p{L})";
const WORD = new RegExp(`${FIRST}(?:[\\p{L}\\p{M}\\p{N}\u00AD]|${PLUS}|[${APOSTROPHES}](?=\\p{L})|\\\\(?=[\\p{L}\\p{N}]))*`, "gu");

/** The words of a text without accents, case, apostrophes or punctuation, one blank between them. */
export function fold(text) {
  const typed = text.normalize("NFC").toLowerCase().replace(/\u00AD/g, "");
  const lowered = typed.replace(PLUS_IN_WORD, "i").replace(SPECK_IN_WORD, "").replace(DROPPED, "");
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
