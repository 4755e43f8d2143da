// What readers miss, and what they find wrong.

import { request } from "../access.js";
import { announce, make, makeButton } from "../dom.js";
import { texts } from "../texts/index.js";
import { ask, attempt, fetched } from "./api.js";

const SHOWN = 100;
const [place, off] = ["reports", "off"].map((id) => document.getElementById(id));

export async function showReports() {
  const { reports } = await fetched("api/rag/reports");
  off.hidden = (await (await request("page.json")).json()).reports;
  const kinds = Object.keys(texts.admin.reportKinds);
  const parts = kinds.flatMap((kind) => table(kind, reports.filter((report) => report.kind === kind)));
  place.replaceChildren(...(parts.length > 0 ? parts : [make("p", { class: "soft" }, texts.admin.noReports)]));
}

/** Save all of them as a table: a plain link could not send the key. */
export async function saveCsv() {
  const content = await (await ask("api/rag/reports?format=csv")).blob();
  const url = URL.createObjectURL(content);
  make("a", { href: url, download: "reports.csv" }).click();
  URL.revokeObjectURL(url);
}

function table(kind, reports) {
  if (reports.length === 0) return [];
  const name = texts.admin.reportKinds[kind];
  const column = (text) => make("th", { scope: "col" }, text);
  const rows = reports.slice(0, SHOWN).map(row);
  const more = reports.length - rows.length;
  return [
    make("h3", { id: `kind-${kind}` }, `${name} (${texts.number(reports.length)})`),
    make(
      "table",
      { "aria-labelledby": `kind-${kind}` },
      make("thead", {}, make("tr", {}, ...texts.admin.reportColumns.map(column), make("td"))),
      make("tbody", {}, ...rows),
    ),
    ...(more > 0 ? [make("p", { class: "soft" }, texts.admin.moreReports(more))] : []),
  ];
}

function row({ id, subject, note, count, last_at: last, content }) {
  const what = content ?? subject;
  const handled = makeButton(texts.admin.handled, () => attempt(() => remove(id, element)), "plain");
  handled.setAttribute("aria-label", texts.admin.handledNamed(what));
  const element = make(
    "tr",
    {},
    make("th", { scope: "row" }, what || texts.admin.noEntry, " ", note ? make("span", { class: "soft" }, note) : undefined),
    make("td", { "data-label": texts.admin.reportColumns[1] }, texts.number(count)),
    make("td", { "data-label": texts.admin.reportColumns[2] }, texts.date(last)),
    make("td", {}, handled),
  );
  return element;
}

async function remove(id, element) {
  await ask(`api/rag/reports/${id}`, { method: "DELETE" });
  const next = (element.nextElementSibling ?? element.previousElementSibling)?.querySelector("button");
  element.remove();
  (next ?? document.getElementById("csv")).focus();
  announce(texts.admin.handledDone);
}
