// Documents by source, and the removal of one.

import { announce, make, makeButton } from "../dom.js";
import { texts } from "../texts/index.js";
import { attempt, fetched } from "./api.js";

const [place, dialog, question, yes] = ["sources", "confirm", "confirm-title", "confirm-yes"].map((id) =>
  document.getElementById(id),
);

/** Names of the sources that files were loaded under. @type {string[]} */
let names = [];

/** The source that a file probably is a new version of: files loaded on the server are named with their folder. */
export function sourceOf(file) {
  const same = names.filter((name) => name.split("/").pop() === file);
  return same.includes(file) || same.length !== 1 ? file : same[0];
}

export async function showSources() {
  const { sources } = await fetched("api/rag/sources");
  names = sources.filter((source) => source.from_file > 0).map(({ source }) => source);
  document.getElementById("known").replaceChildren(...names.map((value) => make("option", { value })));
  if (sources.length === 0) {
    place.replaceChildren(make("p", { class: "soft" }, texts.admin.empty));
    return;
  }
  const column = (name) => make("th", { scope: "col" }, name);
  const head = make("tr", {}, ...texts.admin.sourceColumns.map(column), make("td"));
  const rows = sources.map(row);
  place.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function row({ source, kinds, documents, from_file: fromFile, changed_at: changed }) {
  const kind = Object.entries(kinds).map(([name, count]) => `${texts.admin.kinds[name] ?? name} ${texts.number(count)}`);
  const confirm = () => confirmRemoval(source, fromFile);
  const button = fromFile > 0 ? makeButton(texts.admin.remove, confirm, "plain") : texts.admin.throughApi;
  if (fromFile > 0) button.setAttribute("aria-label", texts.admin.removeNamed(source));
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, source || texts.admin.unnamed),
    make("td", { "data-label": texts.admin.sourceColumns[1] }, texts.number(documents), " ", make("span", { class: "soft" }, `(${kind.join(", ")})`)),
    make("td", { "data-label": texts.admin.sourceColumns[2] }, texts.date(changed)),
    make("td", {}, button),
  );
}

function confirmRemoval(source, documents) {
  question.textContent = texts.admin.confirm(source, documents);
  yes.textContent = texts.admin.confirmYes(documents);
  // Not by the dialog's event "close": that comes late, and would close a dialog that is already open again.
  yes.onclick = () => attempt(() => removeSource(source));
  dialog.showModal();
}

async function removeSource(source) {
  const { deleted } = await fetched(`api/rag/sources?name=${encodeURIComponent(source)}`, { method: "DELETE" });
  await showSources();
  document.getElementById("file").focus();
  announce(texts.admin.removed(deleted));
}
