// The HTTP side of the page: asks the backend and hands back what the stream says, event by event.

/** What went wrong, in the backend's own words for it. */
export class AskError extends Error {
  /**
   * @param {string} type the contract's error type, or "unreachable", "interrupted", "http"
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
 * Ask a question and yield the objects of the answer: `{sources}`, `{delta}`…, then the whole answer.
 * Throws AskError; an abort of `signal` is thrown as it comes.
 * @param {{query: string, history: {role: string, content: string}[]}} question
 * @param {{key: string, signal: AbortSignal}} options
 */
export async function* ask(question, { key, signal }) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await reach(() =>
    fetch(new URL("api/rag/query", document.baseURI), {
      method: "POST",
      headers,
      body: JSON.stringify({ ...question, stream: true }),
      signal,
    }),
  );
  if (!response.ok) throw await refusal(response);
  if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    yield await response.json();
    return;
  }
  let finished = false;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw asError(event.error, response);
    finished = finished || typeof event.answer === "string";
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
    throw error;
  }
}

/** Yield the data of each server-sent event; several data lines of one event are joined, as the standard says. */
async function* events(body) {
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

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  return asError(body.error ?? {}, response);
}

function asError(error, response) {
  return new AskError(error.type ?? (response.status === 401 ? "unauthorized" : "http"), {
    status: response.status,
    requestId: error.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
  });
}
