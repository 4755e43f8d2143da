"""Configuration of a cross-encoder's folder, and the engines that support it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engines.base import ModelLoadError
from models.artifacts import read_json

Activation = Literal["sigmoid", "identity"]
ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "identity",
}
"""How sentence-transformers writes down the function that turns a logit into a score."""
OPENVINO_TYPES = frozenset({"bert", "modernbert", "roberta", "xlm-roberta"})
"""Encoders whose exports are tested against the library."""
_PADDED_POSITIONS = frozenset({"roberta", "xlm-roberta"})
"""Their positions count from behind the padding token's id."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """``max_tokens`` counts those of query, document and special tokens; ``prompt``: the library puts one before
    queries.
    """

    kind: str
    max_tokens: int
    activation: Activation
    pad_token: int
    prompt: bool

    @property
    def suits_openvino(self) -> bool:
        """Whether OpenVINO's reranker does all of it."""
        return self.kind in OPENVINO_TYPES and not self.prompt


def read_recipe(folder: Path) -> Recipe:
    """Read a model's own description; raises ``ModelLoadError`` unless it is a cross-encoder with one score."""
    try:
        config = read_json(folder / "config.json")
        architecture = str((config.get("architectures") or [""])[0])
        if not architecture.endswith("ForSequenceClassification"):
            raise ModelLoadError(
                f"{folder.name} cannot rank: it is a {architecture or 'model without a named architecture'}, and "
                f"RERANK_MODEL must be a cross-encoder (…ForSequenceClassification)"
            )
        labels = len(config["id2label"]) if "id2label" in config else int(config.get("num_labels", 2))
        if labels != 1:
            raise ModelLoadError(f"{folder.name} cannot rank: it has {labels} labels, and one is needed")
        tokenizer = read_json(folder / "tokenizer_config.json")
        saved = read_json(folder / "config_sentence_transformers.json")
        return Recipe(
            kind=str(config.get("model_type")),
            max_tokens=_max_tokens(folder, config, tokenizer),
            activation=_activation(folder, config, saved),
            pad_token=int(config.get("pad_token_id") or 0),
            prompt=bool(saved.get("default_prompt_name")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{folder.name} is not a complete cross-encoder: {error}") from error


def _max_tokens(folder: Path, config: dict[str, Any], tokenizer: dict[str, Any]) -> int:
    """Return the library's limit: the tokenizer's, at most the encoder's positions."""
    positions = int(config["max_position_embeddings"])
    if config.get("model_type") in _PADDED_POSITIONS:
        positions -= int(config.get("pad_token_id") or 0) + 1
    declared = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    return int(min(positions, declared or tokenizer.get("model_max_length") or positions))


def _activation(folder: Path, config: dict[str, Any], saved: dict[str, Any]) -> Activation:
    name = (
        saved.get("activation_fn")
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
        or "torch.nn.modules.activation.Sigmoid"
    )
    if name not in ACTIVATIONS:
        raise ModelLoadError(
            f"{folder.name} cannot rank: activation function {name}; supported: {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]
