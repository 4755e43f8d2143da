// The API key, where the service asks for one: kept until the tab is closed, and sent to this service only.

import { byId } from "./dom.js";

const NAME = "llm-service-key";
const PATIENCE_MS = 120_000;
const [dialog, form, field, text, docs] = byId("key-dialog", "key-form", "key", "key-text", "docs");
let refused = false;

export function hasKey() {
  return sessionStorage.getItem(NAME) !== null;
}

export const address = (path) => new URL(path, document.baseURI).href;

/** What went wrong, in the service's own words where it has any. */
export class RequestError extends Error {
  constructor(message, { status = 0, requestId = "" } = {}) {
    super(requestId ? `${message} (request ${requestId})` : message);
    this.status = status;
  }
}

/**
 * `fetch` of a path of this service, with the key. Throws RequestError for every answer but success.
 * @param {string} path
 * @param {RequestInit & {json?: unknown}} [options] `json`: the body of a POST
 */
export async function request(path, { json, signal, limit = PATIENCE_MS } = {}) {
  const headers = new Headers(json === undefined ? {} : { "Content-Type": "application/json" });
  const key = sessionStorage.getItem(NAME);
  // Headers hold bytes: letters beyond ASCII go as UTF-8.
  if (key) headers.set("Authorization", `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`);
  const options = json === undefined ? {} : { method: "POST", body: JSON.stringify(json) };
  const signals = [signal, limit && AbortSignal.timeout(limit)].filter(Boolean);
  const response = await reach(() => fetch(address(path), { ...options, headers, signal: AbortSignal.any(signals) }));
  if (response.ok) return response;
  const error = (await response.json().catch(() => ({}))).error ?? {};
  if (response.status === 401) askForKey();
  throw new RequestError(error.message ?? `The service answered with status ${response.status}`, {
    status: response.status,
    requestId: error.request_id ?? response.headers.get("x-request-id") ?? "",
  });
}

/** Await what reads from the network, whose failures browsers report without saying which they are. */
export async function reach(attempt, gone = "The service cannot be reached") {
  try {
    return await attempt();
  } catch (error) {
    if (error.name === "TimeoutError") throw new RequestError("The service did not answer in time");
    if (error instanceof TypeError) throw new RequestError(gone);
    throw error;
  }
}

function askForKey() {
  refused = hasKey();
  sessionStorage.removeItem(NAME);
  showLinks();
  open();
}

function open() {
  text.textContent = refused
    ? "The service did not accept that key."
    : "Sent as Authorization: Bearer to this service only, and forgotten when the tab is closed. Empty: none is sent.";
  if (!dialog.open) dialog.showModal();
}

/** Documents that a link cannot open, since a browser sends no key with it, open as text instead. */
function showLinks() {
  docs.hidden = hasKey();
}

async function openAsText(event) {
  if (!hasKey()) return;
  event.preventDefault();
  const link = event.currentTarget;
  try {
    const body = await (await request(link.getAttribute("href"))).text();
    window.open(URL.createObjectURL(new Blob([body], { type: "text/plain;charset=utf-8" })));
  } catch (error) {
    link.title = link.textContent = error.status === 403 ? `${link.textContent}: needs a key with scope admin` : error.message;
  }
}

/** @param {() => void} then what to do with another key */
export function startAccess(then) {
  form.addEventListener("submit", () => {
    const key = field.value.trim();
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
    form.reset();
    refused = false;
    showLinks();
    then();
  });
  byId("key-open")[0].addEventListener("click", open);
  byId("key-cancel")[0].addEventListener("click", () => dialog.close());
  for (const link of document.querySelectorAll("a[data-text]")) link.addEventListener("click", openAsText);
  showLinks();
}
