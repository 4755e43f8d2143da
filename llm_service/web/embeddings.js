// Two texts and how near their vectors are.

import { request } from "./access.js";
import { keywords, openAIClient, startCode } from "./code.js";
import { announce, byId } from "./dom.js";
import { duration } from "./status.js";

const PATH = "v1/embeddings";
const [form, first, second, result, code] = byId("embed", "embed-first", "embed-second", "embed-result", "embed-code");

export function startEmbeddings() {
  startCode(code, form, PATH, body, python);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.reportValidity()) void compare();
  });
}

function body() {
  return { model: "default", input: [first.value, second.value] };
}

async function compare() {
  result.textContent = "Computing…";
  result.classList.remove("trouble");
  const begun = performance.now();
  try {
    const { data, usage } = await (await request(PATH, { json: body() })).json();
    const [a, b] = data.map(({ embedding }) => embedding);
    const facts = [`${a.length} dimensions`, `${usage.prompt_tokens} tokens`, duration((performance.now() - begun) / 1000)];
    result.textContent = `Similarity ${cosine(a, b).toFixed(3)} · ${facts.join(" · ")}`;
  } catch (error) {
    result.classList.add("trouble");
    result.textContent = error.message;
  }
  announce(result.textContent);
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, at) => sum + value * y[at], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function python(asked) {
  return [
    ...openAIClient(),
    "answer = client.embeddings.create(",
    ...keywords(asked),
    ")",
    "first, second = (item.embedding for item in answer.data)",
    "print(sum(a * b for a, b in zip(first, second)))  # the vectors have length 1",
  ];
}
