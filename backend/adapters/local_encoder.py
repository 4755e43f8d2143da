"""The local embedding model. Blocking, and heavy once used: for the process of the local models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.local_config import LocalModelConfig
from adapters.local_engine import LOADING, import_torch, pick_device
from adapters.local_worker import Encoder

_BATCH = 32
_PLAIN_MODULES = ("Transformer", "Pooling", "Normalize")


def load_encoder(folder: Path, config: LocalModelConfig) -> Encoder:
    """Load the model in ``folder``, by the shortest way that gives the vectors sentence-transformers gives.

    Importing sentence-transformers takes 12 s of processor time, torch and transformers 4 s.
    """
    with LOADING:
        device = pick_device(import_torch(), config.device_map)
        return MeanEncoder(folder, device) if is_plain(folder) else SentenceEncoder(folder, device)


def is_plain(folder: Path) -> bool:
    """Tell whether the vectors are nothing but the mean of an encoder's outputs."""
    modules = _read(folder / "modules.json")
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules] if modules else []
    pooling = _read(folder / "1_Pooling" / "config.json")
    modes = [name for name, value in pooling.items() if name.startswith("pooling_mode") and value is not False]
    means = modes == ["pooling_mode_mean_tokens"] or pooling.get("pooling_mode") == "mean"
    sentence = _read(folder / "sentence_bert_config.json")
    return bool(
        tuple(kinds) == _PLAIN_MODULES
        and modules[0]["path"] == ""
        and modules[1]["path"] == "1_Pooling"
        and means
        and isinstance(sentence.get("max_seq_length"), int)
        and not sentence.get("do_lower_case")
        and not _read(folder / "config_sentence_transformers.json").get("default_prompt_name")
    )


class MeanEncoder:
    """The mean of a transformer's outputs, on one device in float32. Used from one thread only."""

    def __init__(self, folder: Path, device: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        place = str(folder)
        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        model = AutoModel.from_pretrained(
            place, local_files_only=True, use_safetensors=True, dtype=import_torch().float32
        )
        self._model = model.to(device).eval()
        self._max_tokens = int(_read(folder / "sentence_bert_config.json")["max_seq_length"])

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        vectors: list[list[float]] = [[] for _ in texts]
        # Texts of a length share a batch, so that little is computed for padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), _BATCH):
            indexes = order[start : start + _BATCH]
            rows = self._encode_batch([texts[index].strip() for index in indexes])
            for index, row in zip(indexes, rows, strict=True):
                vectors[index] = row
        return vectors

    def _encode_batch(self, texts: list[str]) -> list[list[float]]:
        torch = import_torch()
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(outputs.dtype)
            means = (outputs * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            rows: list[list[float]] = torch.nn.functional.normalize(means, dim=1).tolist()
        return rows


class SentenceEncoder:
    """Any other sentence-transformers model on one device. Used from one thread only."""

    def __init__(self, folder: Path, device: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"use_safetensors": True}
        )

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        rows: list[list[float]] = vectors.tolist()
        return rows


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
