// How the backend is: the one place that knows. Shows it as a chip with a panel, and as a banner while it is away.

import { askForKey, request } from "./access.js";
import { announce, make } from "./dom.js";
import { texts } from "./texts/index.js";

const AGAIN_MS = { away: 4_000, degraded: 15_000 };
const [chip, panel, banner, size] = ["chip", "panel", "away", "size"].map((id) => document.getElementById(id));
let timer = 0;

/** Look now, show what is seen, and look again while something does not work. */
export async function look() {
  clearTimeout(timer);
  const seen = await ask().catch(() => ({ banner: texts.awayBanner }));
  if (!banner.hidden && !seen.banner) announce(texts.back);
  banner.hidden = !seen.banner;
  banner.textContent = seen.banner ?? "";
  show(seen);
  if (seen.banner) timer = setTimeout(look, AGAIN_MS.away);
  else if (!seen.refused && seen.health.llm_service.status !== "healthy") timer = setTimeout(look, AGAIN_MS.degraded);
}

async function ask() {
  const [health, stats] = await Promise.all([request("health"), request("api/rag/stats")]);
  if (health.status === 401) return { refused: true };
  if (!health.ok) throw new Error("no health");
  const known = await health.json();
  // With the database away its counts are refused.
  const away = known.checks.database ? undefined : texts.databaseBanner;
  return { health: known, stats: stats.ok ? await stats.json() : undefined, banner: away };
}

function show({ health, stats, refused, banner: away }) {
  const model = health?.llm_service.status;
  const words = stats ? texts.entriesCount(stats.entries) : "";
  const state = refused ? texts.keyTitle : away && !health ? texts.away : (texts.models[model] ?? texts.models.unreachable);
  const mark = make("span", { class: away || refused ? "dot wrong" : model === "healthy" ? "dot" : "dot degraded" });
  const separate = words ? " · " : "";
  chip.replaceChildren(mark, make("span", {}, words), make("span", { class: words ? "wide" : "" }, separate + state));
  chip.onclick = refused ? () => askForKey(look) : toggle;
  if (words) size.textContent = texts.words(stats.entries);
  panel.replaceChildren(make("dl", {}, ...(health ? rows(health, stats) : [row(texts.status, away ?? state)])));
}

function rows({ llm_service: service, checks, version }, stats) {
  const say = texts.panel[service.status] ?? texts.panel.unreachable;
  const pending = stats?.pending_embeddings ? ` (${texts.panel.pending(stats.pending_embeddings)})` : "";
  return [
    stats ? row(texts.panel.entries, texts.entriesCount(stats.entries) + pending) : undefined,
    row(texts.panel.model, say(String(service.model ?? texts.model).split("/").pop())),
    row(texts.panel.database, checks.database ? texts.panel.works : texts.panel.broken),
    row(texts.panel.version, String(version)),
    row(texts.admin.title, make("a", { href: "admin" }, texts.panel.admin)),
  ];
}

function row(name, value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

function toggle() {
  panel.hidden = !panel.hidden;
  chip.setAttribute("aria-expanded", String(!panel.hidden));
}
