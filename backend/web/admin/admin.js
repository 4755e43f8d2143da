// The page of who keeps the dictionary: its sources, files to load, and what readers miss.

import { fillIn, texts } from "../texts/index.js";
import { attempt } from "./api.js";
import { startFiles } from "./files.js";
import { saveCsv, showReports } from "./reports.js";
import { showSources } from "./sources.js";

async function showAll() {
  await showSources();
  await showReports();
}

fillIn();
document.title = `${texts.admin.title} · ${texts.title}`;
startFiles();
document.getElementById("csv").addEventListener("click", () => attempt(saveCsv));
void attempt(showAll);
