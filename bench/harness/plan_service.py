"""The baseline: a plain transformers service, models called on the event loop.

One process. Async handlers call ``generate()`` in fp32 and ``SentenceTransformer.encode`` where they stand, one request
at a time. The models are the embedded ones: SmolLM2-135M-Instruct, dequantised from the GGUF file of its wheel, and
all-MiniLM-L6-v2, loaded at start. ``python -m bench.harness.plan_service PORT``
"""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from bench.harness.http import HOST
from bench.harness.services import embedded_gguf, embedded_minilm


class GenerateRequest(BaseModel):
    """A conversation to continue."""

    messages: list[dict[str, str]]
    max_new_tokens: int
    temperature: float
    top_p: float


class EmbedRequest(BaseModel):
    """Texts to turn into vectors."""

    texts: list[str]


def create_app() -> FastAPI:
    """Load both models and build the application; every handler does its model work on the event loop."""
    app = FastAPI()
    gguf = embedded_gguf()
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer: Any = AutoTokenizer.from_pretrained(**source)
    model: Any = AutoModelForCausalLM.from_pretrained(
        **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    embedder = SentenceTransformer(str(embedded_minilm()), device="cpu")

    @app.post("/api/llm/generate")
    async def generate(request: GenerateRequest) -> dict[str, Any]:
        prompt = tokenizer.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(prompt, return_tensors="pt")
        sampling = request.model_dump(include={"max_new_tokens", "temperature", "top_p"})
        with torch.no_grad():
            output = model.generate(**inputs, **sampling, do_sample=True, pad_token_id=tokenizer.eos_token_id)
        fresh = output[0][inputs["input_ids"].shape[1] :]
        return {"answer": tokenizer.decode(fresh, skip_special_tokens=True), "tokens_generated": len(fresh)}

    @app.post("/api/llm/embed")
    async def embed(request: EmbedRequest) -> dict[str, Any]:
        vectors = embedder.encode(request.texts, convert_to_numpy=True, show_progress_bar=False)
        return {"embeddings": vectors.tolist()}

    @app.get("/api/llm/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), host=HOST, port=int(sys.argv[1]), log_level="warning")
