// Server-sent events of a streamed answer.

import { reach, RequestError } from "./access.js";

/**
 * Yield the JSON objects of a stream. Throws RequestError for an error event, and when the stream ends before `[DONE]`.
 * @param {Response} response
 */
export async function* objects(response) {
  const broken = "The connection broke before the answer was complete";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  try {
    for (;;) {
      const { done, value } = await reach(() => reader.read(), broken);
      if (done) throw new RequestError(broken);
      const lines = (pending + value).split("\n");
      pending = lines.pop();
      // The service writes one line of data an event; others are names and signs of life.
      for (const data of lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6))) {
        if (data === "[DONE]") return;
        const object = JSON.parse(data);
        if (object.error) throw new RequestError(object.error.message);
        yield object;
      }
    }
  } finally {
    // Leaving early closes the connection, so that the service stops generating.
    reader.cancel().catch(() => {});
  }
}
