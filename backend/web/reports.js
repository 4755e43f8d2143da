// Reports to the people who maintain the dictionary. Their buttons are hidden while the server takes none.

import { request } from "./access.js";
import { announce, make, makeButton } from "./dom.js";
import { texts } from "./texts/index.js";

const LONGEST_NOTE = 300;
const MOST_WORDS = 3;
const ENTRIES = 20;

/** Show the means to report. @param {boolean} taken whether the server takes reports */
export function showReports(taken) {
  document.body.classList.toggle("reporting", taken === true);
}

/** "¿Error?" under an entry: opens a field for an optional note. @param {string} entry the entry's id */
export function errorReport(entry) {
  const note = make("input", { type: "text", maxlength: String(LONGEST_NOTE), autocomplete: "off" });
  const form = make(
    "form",
    {},
    make("label", {}, make("span", {}, texts.report.what), note),
    make("button", { type: "submit", class: "quiet" }, texts.report.send),
  );
  const details = make("details", { class: "report" }, make("summary", {}, texts.report.error), form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = await send({ kind: "error", entry, note: note.value.trim() });
    if (sent) {
      // The focus would fall to the page's start with the button that holds it.
      details.firstElementChild.focus();
      form.replaceWith(make("p", { class: "soft" }, texts.report.thanks));
    } else form.lastElementChild.textContent = texts.report.failed;
  });
  return details;
}

/** "Avisar de que falta", where there is a word among what is missing. @param {string[]} missing */
export function wantedReport(missing) {
  const words = missing.filter((word) => word.trim().split(/\s+/).length <= MOST_WORDS).slice(0, ENTRIES);
  return words.length > 0 ? [reportButton(texts.report.wanted, { kind: "wanted", words })] : [];
}

/** 👍 and 👎 under an answer, of which one can be pressed. Drawn, since not every machine has letters for them. @param {object[]} sources @param {object} facts */
export function opinions(sources, { answer_mode, served_by }) {
  const entries = sources.filter(({ role }) => role === "answer").map(({ id }) => id).slice(0, ENTRIES);
  const button = (name, kind) => {
    const made = reportButton("", { kind, entries, answer_mode, served_by });
    made.setAttribute("aria-label", name);
    made.title = name;
    return made;
  };
  const group = make("span", { class: "opinions", role: "group", "aria-label": texts.report.opinion });
  group.append(button(texts.report.helpful, "helpful"), button(texts.report.unhelpful, "unhelpful"));
  return group;
}

/** A button that reports once, and then says thanks in its place. */
function reportButton(label, body) {
  return makeButton(label, async (button) => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    const sent = await send(body);
    button.ariaDisabled = String(sent);
    button.textContent = sent ? texts.report.thanks : texts.report.failed;
    button.removeAttribute("aria-label");
    // Of two opinions only one is held.
    if (sent) for (const other of button.closest(".opinions")?.children ?? []) other.hidden = other !== button;
  }, "plain report");
}

async function send(body) {
  const headers = { "Content-Type": "application/json" };
  const sent = await request("api/rag/reports", { method: "POST", headers, body: JSON.stringify(body) })
    .then((response) => response.ok)
    .catch(() => false);
  announce(sent ? texts.report.thanks : texts.report.failed);
  return sent;
}
