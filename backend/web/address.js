// The page's address: which view it names, and the addresses of views.

const language = new URLSearchParams(location.search).get("lang");

/** Of `?dictionary=`: the words of one language, and the direction in which the backend lists them. */
export const DIRECTIONS = { es: "es_bora", bora: "bora_es" };

/**
 * @typedef {{view: "ask", query: string} | {view: "list", words: string, letter: string, filter: string} |
 *   {view: "entry", id: string}} Place
 */

/** @returns {Place} */
export function here() {
  const parameters = new URLSearchParams(location.search);
  const value = (name) => parameters.get(name)?.trim() ?? "";
  if (value("entry")) return { view: "entry", id: value("entry") };
  if (!parameters.has("dictionary")) return { view: "ask", query: value("q") };
  const words = value("dictionary") in DIRECTIONS ? value("dictionary") : "es";
  return { view: "list", words, letter: value("letter"), filter: value("filter") };
}

/** The address of a view, in the language that was chosen; empty parameters are left out. */
export function addressOf(parameters) {
  const named = Object.entries({ ...parameters, lang: language }).filter(([, value]) => value);
  return named.length > 0 ? `?${new URLSearchParams(named)}` : location.pathname;
}
