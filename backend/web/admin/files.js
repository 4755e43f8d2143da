// Files: what loading one would change is shown first, then it is loaded.

import { announce, make, makeButton } from "../dom.js";
import { events } from "../stream.js";
import { texts } from "../texts/index.js";
import { ask, attempt, fetched, Refused } from "./api.js";
import { showSources, sourceOf } from "./sources.js";

const [drop, input, list] = ["drop", "file", "files"].map((id) => document.getElementById(id));

export function startFiles() {
  const take = (files) => attempt(async () => {
    // One after the other: the server takes one at a time.
    for (const file of files) await look(file);
  });
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";
    await take(files);
  });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  // A file that misses the place would be opened in the page's stead.
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    void take([...event.dataTransfer.files]);
  });
}

async function look(file) {
  const state = make("div");
  const source = make("input", { type: "text", maxlength: "1000", list: "known", autocomplete: "off" });
  source.value = sourceOf(file.name);
  const field = make("label", { class: "source" }, texts.admin.source, source);
  const item = make("li", { class: "file" }, make("h3", {}, file.name), field, state);
  list.prepend(item);
  source.addEventListener("change", () => attempt(preview));
  await preview();

  async function preview() {
    const name = source.value.trim() || file.name;
    state.replaceChildren(make("p", { class: "soft" }, texts.admin.reading));
    try {
      const report = await fetched(address(file, name, "dry_run=true"), { method: "POST", body: file });
      const prune = make("input", { type: "checkbox" });
      const lost = report.gone > 0 ? make("label", { class: "check" }, prune, texts.admin.gone(report.gone)) : undefined;
      const load = makeButton(texts.admin.load, () => attempt(() => loadFile(file, name, item, prune.checked)), "action");
      const buttons = make("p", { class: "line" }, load, makeButton(texts.cancel, () => item.remove()));
      state.replaceChildren(...summary(report, texts.admin.would(report)), ...(lost ? [lost] : []), buttons);
      announce(`${file.name}: ${texts.admin.would(report)}`);
    } catch (error) {
      fail(state, error);
    }
  }
}

async function loadFile(file, source, item, prune) {
  const state = make("div");
  // What is under way, or done, is no longer asked for.
  item.replaceChildren(make("h3", {}, file.name), state);
  const bar = make("progress", { max: "1", value: "0", "aria-label": texts.admin.loading });
  const line = make("p", { class: "soft" }, texts.admin.loading);
  state.replaceChildren(bar, line);
  try {
    const response = await ask(address(file, source, `prune=${prune}`), { method: "POST", body: file });
    let report;
    for await (const data of events(response.body)) {
      if (data === "[DONE]") break;
      const event = JSON.parse(data);
      if (event.error) throw new Refused((texts.problems[event.error.type] ?? texts.problems.internal).join(" "));
      if (event.total === undefined) report = event;
      else {
        bar.max = event.total || 1;
        bar.value = event.done;
        line.textContent = texts.admin.progress(event.done, event.total);
      }
    }
    if (report === undefined) throw new Refused(texts.admin.broken);
    state.replaceChildren(...summary(report, texts.admin.did(report)));
    announce(`${file.name}: ${texts.admin.did(report)}`);
    await attempt(showSources);
  } catch (error) {
    fail(state, error, texts.admin.keptPart);
  }
}

/** Show the error beside the file; the caller asks for a missing key. */
function fail(state, error, more = "") {
  const lost = error?.type === "interrupted" || error?.type === "deadline_exceeded";
  if (!(error instanceof Refused) && !lost) throw error;
  const message = `${lost ? texts.problems.interrupted[0] : error.message} ${more}`.trim();
  state.replaceChildren(make("p", { class: "wrong" }, message));
  announce(message);
  if (error.needsKey) throw error;
}

function address(file, source, parameters) {
  return `api/rag/uploads?name=${encodeURIComponent(file.name)}&source=${encodeURIComponent(source)}&${parameters}`;
}

function summary(report, intro) {
  const parts = [make("p", {}, intro)];
  if (report.note) parts.push(make("p", { class: "soft" }, report.note));
  if (report.repeated > 0) parts.push(make("p", { class: "soft" }, texts.admin.repeated(report.repeated)));
  if (report.refused > 0) {
    const rows = report.refusals.map(({ unit, at, reason }) => make("li", {}, make("b", {}, `${texts.admin.units[unit] ?? unit} ${at}`), `: ${reason}`));
    const more = report.refused - rows.length;
    if (more > 0) rows.push(make("li", {}, texts.admin.more(more)));
    const shown = make("details", {}, make("summary", {}, texts.admin.refusals(report.refused)), make("ul", {}, ...rows));
    shown.open = report.refused <= 10;
    parts.push(shown);
  }
  return parts;
}
