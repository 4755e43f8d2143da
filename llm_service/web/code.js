// A request as code to copy. The key itself is never written, only the name of the variable that holds it.

import { address, hasKey } from "./access.js";
import { copied, announce, make } from "./dom.js";

const KEY = "LLM_SERVICE_API_KEY";

/**
 * Show the request that a form would send as curl and as Python, whenever it is unfolded or the form changes.
 * @param {HTMLElement} place
 * @param {HTMLFormElement} form
 * @param {string} path
 * @param {() => object} body
 * @param {(body: object) => string[]} python lines after the client was made
 */
export function startCode(place, form, path, body, python) {
  const curl = sample("curl");
  const script = sample("Python");
  const folded = make("details", { class: "codes" }, make("summary", {}, "As code"), curl.element, script.element);
  place.append(folded);
  const show = () => {
    if (!folded.open) return;
    const asked = body();
    curl.show(asCurl(path, asked));
    script.show(python(asked).join("\n"));
  };
  folded.addEventListener("toggle", show);
  form.addEventListener("input", show);
  return show;
}

function sample(name) {
  const text = make("code");
  const button = make("button", { type: "button", class: "quiet", "aria-label": `Copy the ${name} code` }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text.textContent)) ? "Copied" : "Not copied";
    announce(button.textContent);
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  const head = make("div", { class: "beside" }, make("h3", {}, name), button);
  // Scrolls sideways, so the keyboard must reach it.
  const box = make("pre", { tabindex: "0", role: "group", "aria-label": name }, text);
  return { element: make("div", {}, head, box), show: (code) => (text.textContent = code) };
}

function asCurl(path, body) {
  const lines = [`curl -sN ${quoted(address(path))}`, "-H 'Content-Type: application/json'"];
  if (hasKey()) lines.push(`-H "Authorization: Bearer $${KEY}"`);
  const fields = Object.entries(body).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  lines.push(`-d ${quoted(`{${fields.join(",\n    ")}}`)}`);
  return lines.join(" \\\n  ");
}

/** For a shell of POSIX's kind. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The lines that make OpenAI's client. */
export function openAIClient() {
  const key = hasKey() ? `os.environ["${KEY}"]` : '"none"';
  return [
    ...(hasKey() ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(address("v1"))}, api_key=${key})`,
  ];
}

/** The lines of a POST with httpx. */
export function httpxPost(path, body) {
  const headers = hasKey() ? [`    headers={"Authorization": f"Bearer {os.environ['${KEY}']}"},`] : [];
  return [
    ...(hasKey() ? ["import os", ""] : []),
    "import httpx",
    "",
    "response = httpx.post(",
    `    ${literal(address(path))},`,
    `    json=${literal(body, 1)},`,
    ...headers,
    "    timeout=60,",
    ")",
    "response.raise_for_status()",
  ];
}

/** Keyword arguments, one a line. */
export function keywords(values) {
  return Object.entries(values).map(([name, value]) => `    ${name}=${literal(value, 1)},`);
}

/** A JSON value as Python writes it; JSON's texts and numbers are Python's. */
function literal(value, depth = 0) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((item) => literal(item, depth + 1))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${literal(item, depth + 1)}`);
  const flat = `${open}${items.join(", ")}${close}`;
  if (flat.length <= 72 && !flat.includes("\n")) return flat;
  const indent = "    ".repeat(depth + 1);
  return `${open}\n${items.map((item) => `${indent}${item},\n`).join("")}${"    ".repeat(depth)}${close}`;
}
