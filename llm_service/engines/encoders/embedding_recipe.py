"""Pooling, normalisation and prompts of a sentence-transformers folder, and the engines that support them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import ModelLoadError
from engines.requests import InputType
from models.artifacts import read_json
from models.files import file_sha256
from models.fingerprint import HEX_DIGITS

SCHEME = "minilm-v1"
KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"})
POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len", "weightedmean", "last")
PROMPT_NAMES: Mapping[InputType, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}
"""Names of the prompts of queries and documents, as ``encode_query`` and ``encode_document`` look for them."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """``modules`` are (class, folder) from the encoder on, ``pooling`` names modes joined by ``+``, ``prompts`` precede
    texts of each input type (``None``: of unknown type). ``max_tokens`` counts special tokens; ``dimension`` is the
    encoder's; ``pools_prompt``: a prompt's tokens are pooled, too.
    """

    modules: tuple[tuple[str, Path], ...]
    pooling: str
    pools_prompt: bool
    prompts: Mapping[InputType | None, str]
    max_tokens: int
    dimension: int
    plain_bert: bool

    @property
    def suits_openvino(self) -> bool:
        """Whether OpenVINO's embedder does all of it: a BERT encoder, the mean of all its tokens."""
        kinds = [kind for kind, _ in self.modules if kind not in ("Normalize", "Dropout")]
        means_all = self.pooling == "mean" and (self.pools_prompt or not any(self.prompts.values()))
        return self.plain_bert and kinds == ["Transformer", "Pooling"] and means_all


def read_recipe(folder: Path) -> Recipe:
    """Read a model's own description; raises ``ModelLoadError`` where it is incomplete or asks for what
    sentence-transformers would have to run the model's own code for.
    """
    try:
        modules = tuple(
            (str(module["type"]), folder / str(module["path"])) for module in _read_json(folder / "modules.json")
        )
        foreign = [kind for kind, _ in modules if not kind.startswith("sentence_transformers.")]
        modules = tuple((kind.rpartition(".")[2], path) for kind, path in modules)
        unknown = foreign or [kind for kind, _ in modules if kind not in KNOWN_MODULES]
        if unknown or [kind for kind, _ in modules[:2]] != ["Transformer", "Pooling"]:
            listed = ", ".join(unknown or [kind for kind, _ in modules])
            raise ModelLoadError(f"{folder.name} cannot be served: no embedder here knows its modules ({listed})")
        encoder = _read_json(modules[0][1] / "config.json")
        limits = _read_json(modules[0][1] / "sentence_bert_config.json")
        pooling = _read_json(modules[1][1] / "config.json")
        return Recipe(
            modules=modules,
            pooling=_pooling(pooling),
            pools_prompt=bool(pooling.get("include_prompt", True)),
            prompts=_prompts(read_json(folder / "config_sentence_transformers.json")),
            max_tokens=_max_tokens(limits, encoder, read_json(modules[0][1] / "tokenizer_config.json")),
            dimension=int(encoder["hidden_size"]),
            plain_bert=encoder.get("model_type") == "bert"
            and not limits.get("do_lower_case")
            and limits.get("transformer_task", "feature-extraction") == "feature-extraction",
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{folder.name} is not a complete sentence-transformers model: {error}") from error


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """16 hexadecimal digits each that differ when anything that decides a vector's direction differs.

    ``plain`` is that of texts without an input type. ``search`` is that of queries and documents, which are compared
    with each other; it differs from ``plain`` where either has a prompt of its own.
    """

    plain: str
    search: str


def embedding_fingerprints(folder: Path) -> Fingerprints:
    """Compute the fingerprints of a model's vectors.

    They are the beginning of the sha256 of lines joined by newlines: ``minilm-v1``, the sha256 of
    ``model.safetensors`` in lower-case hexadecimal, the pooling (``mean``), ``true`` and the token limit; then, for
    models that have them, the sha256 of each further module's weights and the prompts: of texts without a type, or of
    queries and documents. The backend computes the plain one for its local embedder. Raises ``ModelLoadError``.
    """
    recipe = read_recipe(folder)
    try:
        lines = [SCHEME, file_sha256(recipe.modules[0][1] / "model.safetensors"), recipe.pooling, "true"]
        lines.append(str(recipe.max_tokens))
        for kind, path in recipe.modules[2:]:
            if kind in ("Dense", "LayerNorm"):
                lines.append(file_sha256(path / "model.safetensors"))
    except OSError as error:
        raise ModelLoadError(f"{folder.name} is not a complete sentence-transformers model: {error}") from error
    plain = recipe.prompts[None]
    query, document = recipe.prompts["query"], recipe.prompts["document"]
    return Fingerprints(
        plain=_digest([*lines, *([plain] if plain else [])]),
        search=_digest([*lines, *([query, document] if {query, document} != {plain} else [plain] if plain else [])]),
    )


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()[:HEX_DIGITS]


def _prompts(config: dict[str, Any]) -> dict[InputType | None, str]:
    """Read the prompts; a type without one of its own has that of texts without a type."""
    declared = config.get("prompts") or {}
    named = config.get("default_prompt_name")
    plain = "" if named is None else str(declared[named])
    prompts: dict[InputType | None, str] = {None: plain}
    for kind, names in PROMPT_NAMES.items():
        prompts[kind] = next((str(declared[name] or "") for name in names if name in declared), plain)
    return prompts


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _pooling(config: dict[str, Any]) -> str:
    """Name the pooling modes: one entry of names in newer files, a flag for each mode in older ones."""
    if "pooling_mode" in config:
        declared = config["pooling_mode"]
        names = [declared] if isinstance(declared, str) else list(declared)
    else:
        prefix = "pooling_mode_"
        names = [key.removeprefix(prefix) for key, on in config.items() if key.startswith(prefix) and on is True]
    names = [str(name).removesuffix("_tokens").removesuffix("token").removesuffix("_") for name in names]
    if not names or not set(names) <= set(POOLING_MODES):
        raise ValueError(f"unknown pooling: {', '.join(names) or 'no mode is on'}")
    return "+".join(names)


def _max_tokens(limits: dict[str, Any], encoder: dict[str, Any], tokenizer: dict[str, Any]) -> int:
    if limits.get("max_seq_length"):
        return int(limits["max_seq_length"])
    return int(min(encoder["max_position_embeddings"], tokenizer["model_max_length"]))
