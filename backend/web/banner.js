// The line under the title: what is not as it should be, until it is again.

import { key } from "./access.js";
import { announce } from "./announcer.js";
import { RECOVERED } from "./words.js";

const EVERY_MS = 4000;
const element = document.getElementById("banner");
const MENDED = {
  model: (health) => health.status === "healthy",
  server: (health) => health.status !== "unhealthy",
};
let timer = 0;
let shown = "";

/**
 * Show what is wrong and ask the backend now and then until it is mended.
 * @param {"model" | "server"} what the language model, or the backend with its database
 * @param {string} text
 */
export function showBanner(what, text) {
  shown = what;
  element.textContent = text;
  element.hidden = false;
  wait();
}

export function hideBanner() {
  shown = "";
  clearTimeout(timer);
  element.hidden = true;
  element.textContent = "";
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(look, EVERY_MS);
}

async function look() {
  const what = shown;
  if (document.hidden) return wait();
  try {
    const headers = key() ? { Authorization: `Bearer ${key()}` } : {};
    const response = await fetch(new URL("health", document.baseURI), { headers });
    if (response.status === 401) return;
    const mended = response.ok && MENDED[what](await response.json());
    if (what !== shown) return;
    if (mended) {
      hideBanner();
      announce(RECOVERED[what]);
    } else wait();
  } catch {
    // Still away.
    if (what === shown) wait();
  }
}
