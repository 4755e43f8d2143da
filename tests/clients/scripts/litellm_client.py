"""LiteLLM: chat, tools, responses, rerank, embeddings."""

import litellm
from settings import MODEL, TOOL, URL

SERVICE = {"api_base": f"{URL}/v1", "api_key": "none", "max_retries": 0}
QUESTION = [{"role": "user", "content": "The weather in Lima?"}]
name = f"openai/{MODEL}"
assert litellm.completion(model=name, messages=QUESTION, max_tokens=16, **SERVICE).choices[0].message.content
called = litellm.completion(
    model=name, messages=QUESTION, tools=[TOOL], tool_choice="required", max_tokens=96, temperature=0, **SERVICE
)
assert called.choices[0].message.tool_calls[0].function.name == "weather"
assert litellm.responses(model=name, input="Say hello.", max_output_tokens=16, **SERVICE).output
assert len(litellm.embedding(model=name, input=["Hola mundo"], **SERVICE).data[0]["embedding"]) == 384
documents = ["bread is baked", "Lima is the capital of Peru"]
ranked = litellm.rerank(
    model=f"hosted_vllm/{MODEL}",
    query="capital Peru",
    documents=documents,
    api_base=SERVICE["api_base"],
    api_key="none",
)
assert ranked.results[0]["index"] == 1
