"""Which engine can serve a model, told without loading it."""

from dataclasses import dataclass
from pathlib import Path

from engines.base import ModelLoadError
from engines.engine_fit import find_obstacle, openvino_can_embed
from engines.model_artifacts import Backend, ModelArtifact

BACKENDS: tuple[Backend, ...] = ("openvino", "transformers")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one engine says to a model; ``why_not`` is empty when it serves it."""

    engine: str
    why_not: str = ""

    @property
    def serves(self) -> bool:
        """Whether the engine serves the model."""
        return not self.why_not


def generator_verdicts(artifact: ModelArtifact) -> tuple[Verdict, ...]:
    """Judge a language model."""
    found = []
    for backend in BACKENDS:
        try:
            obstacle = find_obstacle(artifact, backend)
        except ModelLoadError as error:
            found.append(Verdict(backend, str(error)))
        else:
            found.append(Verdict(backend, str(obstacle) if obstacle else ""))
    return tuple(found)


def embedder_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Judge an embedding model."""
    needed = ("model.safetensors", "1_Pooling/config.json", "sentence_bert_config.json")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        why = f"it is no complete sentence-transformers model ({missing[0]} is missing)"
        return (Verdict("openvino", why), Verdict("sentence_transformers", why))
    why = "" if openvino_can_embed(folder) else "OpenVINO embeds only with BERT encoders and mean pooling"
    return (Verdict("openvino", why), Verdict("sentence_transformers"))


def is_embedder_folder(folder: Path) -> bool:
    """Whether a folder holds a sentence-transformers model."""
    return (folder / "modules.json").is_file() or (folder / "1_Pooling" / "config.json").is_file()
