// Documents in the order in which they answer a query.

import { request } from "./access.js";
import { httpxPost, startCode } from "./code.js";
import { announce, byId, make } from "./dom.js";
import { duration } from "./status.js";

const PATH = "v1/rerank";
const [form, query, documents, took, result, code] = byId(
  ...["rerank", "rerank-query", "rerank-documents", "rerank-took", "rerank-result", "rerank-code"],
);

export function startRerank() {
  startCode(code, form, PATH, body, python);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.reportValidity()) void rank();
  });
}

function body() {
  const texts = documents.value.split("\n").filter((text) => text.trim() !== "");
  return { model: "default", query: query.value, documents: texts };
}

async function rank() {
  const asked = body();
  took.textContent = "Ranking…";
  took.classList.remove("trouble");
  result.replaceChildren();
  const begun = performance.now();
  try {
    const { results } = await (await request(PATH, { json: asked })).json();
    const items = results.map(({ index, relevance_score: score }) =>
      make("li", {}, make("b", {}, score.toFixed(3)), ` ${asked.documents[index]}`),
    );
    result.replaceChildren(...items);
    took.textContent = duration((performance.now() - begun) / 1000);
    announce(`First: ${asked.documents[results[0].index]}`);
  } catch (error) {
    took.classList.add("trouble");
    took.textContent = error.message;
    announce(error.message);
  }
}

function python(asked) {
  return [
    ...httpxPost(PATH, asked),
    'for result in response.json()["results"]:',
    '    print(result["relevance_score"], result["index"])',
  ];
}
