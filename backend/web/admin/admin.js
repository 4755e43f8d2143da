// The page of who keeps the dictionary: its sources, files to load, and what readers miss.

import { askForKey } from "../access.js";
import { announce, plain } from "../dom.js";
import { fillIn, texts } from "../texts/index.js";
import { Refused } from "./api.js";
import { startFiles } from "./files.js";
import { saveCsv, showReports } from "./reports.js";
import { showSources } from "./sources.js";

const trouble = document.getElementById("trouble");

/** Do something that asks the server; ask for the key where it wants another one, and say what fails. */
async function attempt(work) {
  trouble.hidden = true;
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused && error.needsKey) {
      askForKey(() => attempt(work));
      return;
    }
    if (!(error instanceof Refused)) console.error(error);
    const message = error instanceof Refused ? error.message : texts.problems.page[0];
    trouble.textContent = plain(message);
    trouble.hidden = false;
    announce(trouble.textContent);
  }
}

async function showAll() {
  await showSources(attempt);
  await showReports(attempt);
}

fillIn();
document.title = `${texts.admin.title} · ${texts.title}`;
startFiles(attempt, () => attempt(() => showSources(attempt)));
document.getElementById("csv").addEventListener("click", () => attempt(saveCsv));
void attempt(showAll);
