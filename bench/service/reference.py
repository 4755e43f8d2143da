"""Greedy answers and next-token distributions of transformers in fp32: what engines are held against.

    python dev.py bench reference       # writes the embedded model's answers for the tests, about 3 minutes

A GGUF file is dequantised (transformers' ``gguf_file=``, which needs the package ``gguf``), so that the reference
has the very weights that the engines are given.
"""

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.harness import study
from bench.harness.services import ROOT, embedded_gguf

MAX_NEW_TOKENS = 40
QUESTIONS = ROOT / "bench" / "data" / "short_questions.json"
COMMITTED = ROOT / "llm_service" / "tests" / "engines" / "embedded_answers.json"


@dataclass(frozen=True)
class ReferenceAnswer:
    """One greedy answer: ``tokens`` are its ids without the one that ended it."""

    question: str
    text: str
    finish_reason: str
    prompt: list[int]
    tokens: list[int]


class Reference:
    """A model in fp32: a GGUF file, or a folder with safetensors."""

    def __init__(self, path: Path, dtype: str = "float32") -> None:
        self.path, self._dtype = path, dtype

    @cached_property
    def source(self) -> dict[str, Any]:
        """What ``from_pretrained`` is called with."""
        if self.path.is_dir():
            return {"pretrained_model_name_or_path": str(self.path)}
        return {"pretrained_model_name_or_path": str(self.path.parent), "gguf_file": self.path.name}

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, chat template included."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(**self.source)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(**self.source, dtype=getattr(torch, self._dtype))
        return model.eval()

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        stops = self._model.generation_config.eos_token_id
        return frozenset(stops if isinstance(stops, list) else [stops])

    def answer(self, question: str) -> ReferenceAnswer:
        """Answer greedily, at most ``MAX_NEW_TOKENS`` tokens."""
        import torch

        prompt = self.prompt(question)
        with torch.inference_mode():
            ids = self._model.generate(
                torch.tensor([prompt]),
                do_sample=False,
                max_new_tokens=MAX_NEW_TOKENS,
                temperature=None,
                top_p=None,
                top_k=None,
            )[0].tolist()[len(prompt) :]
        ended = ids[-1] in self.ends
        tokens = ids[:-1] if ended else ids
        text = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return ReferenceAnswer(question, text, "stop" if ended else "length", prompt, tokens)

    def prompt(self, question: str) -> list[int]:
        """The rendered chat template, as ids."""
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
        ids: list[int] = self.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return ids

    def distributions(self, answer: ReferenceAnswer) -> Any:
        """Log-probabilities of the token after the prompt and after each token of an answer.

        Returns a float32 tensor of shape (len(answer.tokens) + 1, vocabulary).
        """
        import torch

        with torch.inference_mode():
            logits = self._model(torch.tensor([answer.prompt + answer.tokens])).logits[0, len(answer.prompt) - 1 :]
        return torch.log_softmax(logits.float(), dim=-1)


def questions() -> list[str]:
    """The 40 short questions, English before Spanish."""
    asked: dict[str, list[str]] = json.loads(QUESTIONS.read_text(encoding="utf-8"))
    return [*asked["en"], *asked["es"]]


def answers_of(reference: Reference) -> list[ReferenceAnswer]:
    """The answers to all questions: the committed ones of the embedded model, computed of any other."""
    if COMMITTED.is_file() and reference.path.is_file():
        kept = json.loads(COMMITTED.read_text(encoding="utf-8"))
        if kept["sha256"] == sha256(reference.path):
            return [ReferenceAnswer(**answer) for answer in kept["answers"]]
    return _computed(reference)


def sha256(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _computed(reference: Reference) -> list[ReferenceAnswer]:
    found = []
    for number, question in enumerate(questions(), start=1):
        found.append(reference.answer(question))
        study.note(f"reference, {number}: {question} -> {found[-1].text[:70]!r} ({found[-1].finish_reason})")
    return found


def measure(_options: argparse.Namespace) -> study.Report:
    """Compute the embedded model's answers, and write them where the tests read them."""
    path = embedded_gguf()
    answers = _computed(Reference(path))
    kept = {"file": path.name, "sha256": sha256(path), "max_new_tokens": MAX_NEW_TOKENS}
    listed = ",\n  ".join(json.dumps(asdict(answer), ensure_ascii=False) for answer in answers)
    head = json.dumps(kept, ensure_ascii=False)[:-1]
    COMMITTED.write_text(f'{head}, "answers": [\n  {listed}\n]}}\n', encoding="utf-8")
    return study.Report([], {"answers": len(answers)})
