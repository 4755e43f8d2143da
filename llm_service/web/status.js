// What is loaded and how it does: asks the service while the page is seen, and no model.

import { request } from "./access.js";
import { byId, make, row } from "./dom.js";

const EVERY_MS = 2_000;
const LIMIT_MS = 5_000;
const NAMES = { generator: "Language model", embedder: "Embeddings", reranker: "Ranking" };
const STATES = { healthy: "ready", degraded: "ready, with a stand-in", loading: "loading", unhealthy: "not ready" };
const [state, trouble, numbers, models, off, rerank] = byId("state", "trouble", "numbers", "models", "rerank-off", "rerank");
let timer = 0;
let asking = false;

/** Look now, and again every other second while the page is seen; not while a key is missing. */
export async function look() {
  clearTimeout(timer);
  if (asking || document.visibilityState === "hidden") return;
  asking = true;
  let again = true;
  try {
    show(await (await request("api/llm/status", { limit: LIMIT_MS })).json());
  } catch (error) {
    again = error.status !== 401;
    say(again ? "away" : "key needed", "wrong");
    complain(again ? `${error.message}. Asking again; what follows is what was last known.` : "");
  } finally {
    asking = false;
  }
  if (again) timer = setTimeout(look, EVERY_MS);
}

document.addEventListener("visibilitychange", () => void look());

function say(text, kind) {
  const words = text.replace(/^./, (first) => first.toUpperCase());
  // Set only when it changes: screen readers speak each time.
  if (state.textContent === words) return;
  state.replaceChildren(make("span", { class: `dot ${kind}`, "aria-hidden": "true" }), words);
}

function complain(text) {
  trouble.hidden = !text;
  if (trouble.textContent !== text) trouble.textContent = text;
}

function show(now) {
  say(STATES[now.status], { healthy: "", degraded: "wanting", loading: "wanting" }[now.status] ?? "wrong");
  complain(now.error ?? "");
  const { queue, recent, last_error: last } = now;
  const replaced = now.models.map(({ role, restarts }) => `${NAMES[role]} ${restarts}`).join(", ");
  fill(
    numbers,
    row("Requests", `${queue.running} running, ${queue.waiting} waiting (room for ${queue.capacity})`),
    row("Speed of an answer", recent.answers ? `${recent.tokens_per_second} tokens/s` : "no answer yet"),
    row("First token after", recent.answers ? duration(recent.ttft_ms / 1000) : "no answer yet"),
    row("Restarts", now.restarts ? `${now.restarts} (${replaced})` : "0"),
    row("Last error", last ? `${NAMES[last.role]}: ${last.message}, ${new Date(last.at * 1000).toLocaleString()}` : "none"),
    row("Memory of the HTTP process", bytes(now.memory_bytes)),
    row("Up for", span(now.uptime_s)),
    row("Version", now.version),
  );
  numbers.title = `Speed and first token: median of the ${recent.answers} answers of the last ${recent.seconds / 60} minutes`;
  fill(models, ...now.models.map(card));
  const ranks = now.models.some(({ role }) => role === "reranker");
  off.hidden = ranks;
  rerank.hidden = !ranks;
}

/** Replace the content only when it differs: a selection in it stays. */
function fill(place, ...children) {
  const fresh = place.cloneNode(false);
  fresh.append(...children.filter((child) => child !== undefined));
  if (!fresh.isEqualNode(place)) place.replaceChildren(...fresh.childNodes);
}

function card(model) {
  const name = model.model ?? model.requested_model;
  const kind = { ready: model.degraded ? "wanting" : "", loading: "wanting" }[model.state] ?? "wrong";
  return make(
    "li",
    {},
    make("h3", {}, NAMES[model.role], make("span", { class: `badge ${kind}` }, model.state)),
    make("p", { class: "name" }, name),
    model.degraded
      ? make("p", { class: "standin" }, `Stands in for ${model.requested_model}, which could not be loaded.`)
      : undefined,
    make(
      "dl",
      {},
      row("Requested", model.requested_model === name ? undefined : model.requested_model),
      row("Engine", engine(model)),
      row("Device", model.device ?? undefined),
      row("Memory", model.memory_bytes ? bytes(model.memory_bytes) : undefined),
      row("Context", model.context_length ? `${model.context_length} tokens` : undefined),
      row("KV cache", model.kv_cache_usage === null ? undefined : `${Math.round(100 * model.kv_cache_usage)}% in use`),
    ),
  );
}

function engine({ backend, artifact }) {
  if (!backend) return undefined;
  return artifact === backend || artifact === "none" ? backend : `${backend} · ${artifact}`;
}

function bytes(count) {
  return count >= 1e9 ? `${(count / 2 ** 30).toFixed(2)} GiB` : `${Math.round(count / 2 ** 20)} MiB`;
}

export function duration(seconds) {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
}

function span(seconds) {
  const [days, hours, minutes] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : "less than a minute";
}
