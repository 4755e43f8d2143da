// The HTTP side of the page: asks the backend and hands back what the stream says, event by event.

import { request } from "./access.js";

const LIMIT_MS = 10_000;
/** Beyond the limit that the backend is given: for one that does not keep it. */
const PATIENCE_MS = LIMIT_MS + 2_000;

/** What went wrong, in the backend's own words for it. */
export class AskError extends Error {
  /**
   * @param {string} type the contract's error type, or "unreachable", "interrupted", "internal"
   * @param {{status?: number, requestId?: string, retryAfter?: number}} [details]
   */
  constructor(type, { status = 0, requestId = "", retryAfter = 0 } = {}) {
    super(type);
    this.type = type;
    this.status = status;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

/**
 * Ask a question and yield the objects of the answer: `{sources}`, `{answer}`, perhaps `{explanation}`, then all of it.
 * Throws AskError.
 * @param {{query: string, history: {role: string, content: string}[], explain: boolean}} question
 * @param {AbortSignal} signal
 */
export async function* ask(question, signal) {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const headers = { "Content-Type": "application/json", "X-Request-Timeout-Ms": String(LIMIT_MS) };
  const body = JSON.stringify({ ...question, stream: true });
  const response = await reach(() => request("api/rag/query", { method: "POST", headers, body, signal: limited }));
  if (!response.ok) throw asError((await response.json().catch(() => ({}))).error ?? {}, response);
  let finished = false;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") break;
    const event = JSON.parse(data);
    if (event.error) throw asError(event.error, response);
    finished = finished || typeof event.served_by === "string";
    yield event;
  }
  if (!finished) throw new AskError("interrupted", { requestId: response.headers.get("x-request-id") ?? "" });
}

/** fetch and body reads fail with a TypeError when the server is not there, or no longer there. */
async function reach(attempt, type = "unreachable") {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof TypeError) throw new AskError(type);
    // Aborted: by the time limit, or by the reader, who needs no words for it.
    throw new AskError("deadline_exceeded");
  }
}

/** Yield the data of each server-sent event; several data lines of one event are joined, as the standard says. */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let pending = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reach(() => reader.read(), "interrupted");
      pending += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = pending.split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines.map((text) => text.replace(/\r$/, ""))) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length > 0) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    // Leaving early must close the connection, so that the backend stops generating.
    reader.cancel().catch(() => {});
  }
}

function asError(error, response) {
  const byStatus = { 401: "unauthorized", 413: "request_too_large", 429: "rate_limited", 503: "unavailable" };
  return new AskError(error.type ?? byStatus[response.status] ?? "internal", {
    status: response.status,
    requestId: error.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
  });
}
