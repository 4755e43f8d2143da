"""Which files of a repository make a model that can be loaded, and which are never fetched.

Weights are taken as safetensors, GGUF or OpenVINO IR. Pickled weights (``.bin``, ``.pt``, ``.pth``,
``.ckpt`` of torch) run code when they are loaded: they are neither fetched nor loaded. OpenVINO's
``.bin`` holds plain numbers and is taken only beside its ``.xml``.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engines.model_artifacts import Format

_TEXT_SUFFIXES = frozenset({".json", ".txt", ".jinja"})
_PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
_MODULE_FILE = re.compile(r"\d+_\w+/[^/]+")
"""A sentence-transformers model keeps its pooling and further layers in folders like ``1_Pooling``."""
_SPLIT_GGUF = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a repository: its path there, its size in bytes, and the name its content has in the
    cache (empty when it is not known).
    """

    path: str
    size: int
    blob: str = ""


@dataclass(frozen=True, slots=True)
class RepositoryListing:
    """A repository at one commit."""

    repo: str
    commit: str
    files: tuple[RepositoryFile, ...]
    licence: str | None = None

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return any(file.path == path for file in self.files)


def select(files: Sequence[RepositoryFile], kind: Format, file: str | None = None) -> tuple[RepositoryFile, ...]:
    """Choose the files of one format, the weights last (their arrival completes the model); empty when
    the repository does not hold the model in that format.
    """
    files = [entry for entry in files if _stays_inside(entry.path)]
    if kind == "gguf":
        chosen = [entry for entry in files if entry.path == file]
    elif kind == "openvino":
        chosen = _openvino(files)
    else:
        chosen = _safetensors(files)
    return tuple(
        sorted(chosen, key=lambda entry: (entry.path == "openvino_model.bin", not _is_text(entry.path), entry.size))
    )


def pickled_weights(files: Iterable[RepositoryFile]) -> list[str]:
    """Return the files that torch would unpickle."""
    paths = {entry.path for entry in files}
    return sorted(
        path
        for path in paths
        if PurePosixPath(path).suffix in _PICKLE_SUFFIXES
        and str(PurePosixPath(path).with_suffix(".xml")) not in paths
        # What a trainer leaves beside its weights.
        and PurePosixPath(path).name not in ("training_args.bin", "optimizer.pt", "scheduler.pt")
    )


def gguf_files(files: Iterable[RepositoryFile]) -> list[str]:
    """Return the GGUF files of a repository."""
    return sorted(entry.path for entry in files if entry.path.lower().endswith(".gguf"))


def is_split_gguf(path: str) -> bool:
    """Whether a GGUF file is one part of several; neither engine reads those."""
    return _SPLIT_GGUF.search(path) is not None


def is_embedder(listing: RepositoryListing) -> bool:
    """Whether the repository holds a sentence-transformers model."""
    return listing.has("modules.json") or listing.has("1_Pooling/config.json")


def _stays_inside(path: str) -> bool:
    """Whether a path leads nowhere but into its repository's folder, on every platform."""
    return not {"", ".", ".."} & set(path.split("/")) and "\\" not in path and ":" not in path


def _is_text(path: str) -> bool:
    return PurePosixPath(path).suffix in _TEXT_SUFFIXES


def _openvino(files: Sequence[RepositoryFile]) -> list[RepositoryFile]:
    top = {entry.path: entry for entry in files if "/" not in entry.path}
    if "openvino_model.xml" not in top or "openvino_model.bin" not in top:
        return []
    networks = {path for path in top if path.endswith(".xml")}
    weights = {path for path in top if path.endswith(".bin") and path.removesuffix(".bin") + ".xml" in networks}
    return [entry for path, entry in top.items() if path in networks | weights or _is_text(path)]


def _safetensors(files: Sequence[RepositoryFile]) -> list[RepositoryFile]:
    known = {entry.path: entry for entry in files if "/" not in entry.path or _MODULE_FILE.fullmatch(entry.path)}
    top = {path for path in known if "/" not in path and path.endswith(".safetensors")}
    if "config.json" not in known or not top:
        return []
    # The same weights often lie there twice: whole, and in the maker's own layout.
    if "model.safetensors.index.json" in known:
        weights = {path for path in top if re.fullmatch(r"model-\d+-of-\d+\.safetensors", path)} or top
    else:
        weights = {"model.safetensors"} if "model.safetensors" in top else top
    weights |= {path for path in known if "/" in path and path.endswith(".safetensors")}
    return [
        entry
        for path, entry in known.items()
        if path in weights or ((_is_text(path) or path == "tokenizer.model") and (top & weights))
    ]
