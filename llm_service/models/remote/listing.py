"""Files of a repository: those that make a loadable model, and those that are never fetched.

Weights are taken as safetensors, GGUF or OpenVINO IR. Pickled weights (``.bin``, ``.pt``, ``.pth``, ``.ckpt``
of torch) run code when they are loaded: they are neither fetched nor loaded. OpenVINO's ``.bin`` holds plain
numbers and is taken only beside its ``.xml``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from models.artifacts import Format
from models.names import Source

_TEXTS = (".json", ".txt", ".jinja", "tokenizer.model")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_TRAINING = ("training_args.bin", "optimizer.pt", "scheduler.pt")
"""Files that a trainer leaves beside its weights."""
_MODULE_FILE = re.compile(r"\d+_\w+/[^/]+")
"""A sentence-transformers model keeps its pooling and further layers in folders like ``1_Pooling``."""
_SPLIT_GGUF = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a repository: its path there, its size in bytes, and the name its content has in the cache (empty
    when unknown).
    """

    path: str
    size: int
    blob: str = ""


@dataclass(frozen=True, slots=True)
class RepositoryListing:
    """A repository at one commit. ``base_models`` are the models that its card says it was made from."""

    repo: str
    commit: str
    files: tuple[RepositoryFile, ...]
    licence: str | None = None
    base_models: tuple[str, ...] = ()

    @property
    def is_embedder(self) -> bool:
        """Whether the repository holds a sentence-transformers model."""
        return any(file.path in ("modules.json", "1_Pooling/config.json") for file in self.files)


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """Which files of which repository to download, the weights last."""

    source: Source
    listing: RepositoryListing
    files: tuple[RepositoryFile, ...]

    @property
    def total_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)


def select(files: Iterable[RepositoryFile], kind: Format, file: str | None = None) -> tuple[RepositoryFile, ...]:
    """Choose the files of one format, texts first, weights last (their arrival completes the model); empty when
    the repository does not hold the model in that format. ``file`` names a GGUF file.
    """
    inside = {entry.path: entry for entry in files if _stays_inside(entry.path)}
    choose = {"openvino": _openvino, "safetensors": _safetensors}.get(kind)
    wanted = choose(inside.keys()) if choose else {file}
    chosen = [entry for path, entry in inside.items() if path in wanted]
    return tuple(
        sorted(chosen, key=lambda entry: (entry.path == "openvino_model.bin", not is_text(entry.path), entry.size))
    )


def pickled_weights(files: Iterable[RepositoryFile]) -> list[str]:
    """Return the files that torch would unpickle."""
    paths = {entry.path for entry in files}
    return sorted(
        path
        for path in paths
        if path.endswith(_PICKLES)
        and str(PurePosixPath(path).with_suffix(".xml")) not in paths
        and not path.endswith(_TRAINING)
    )


def gguf_files(files: Iterable[RepositoryFile]) -> list[str]:
    """Return the GGUF files of a repository."""
    return sorted(entry.path for entry in files if entry.path.lower().endswith(".gguf"))


def q4_k_m_file(files: Iterable[RepositoryFile]) -> str | None:
    """Return the repository's model in Q4_K_M as one file; ``None`` where there is none."""
    named = [path for path in gguf_files(files) if path.lower().endswith("q4_k_m.gguf") and _stays_inside(path)]
    return min(named, key=lambda path: (path.count("/"), len(path)), default=None)


def is_split_gguf(path: str) -> bool:
    """Whether a GGUF file is one part of several."""
    return _SPLIT_GGUF.search(path) is not None


def is_text(path: str) -> bool:
    """Whether a file is configuration, vocabulary or a template."""
    return path.endswith(_TEXTS)


def local_files(folder: Path) -> list[RepositoryFile]:
    """List the files of a model folder as a repository would."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return [RepositoryFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]


def _stays_inside(path: str) -> bool:
    """Whether a path leads nowhere but into its repository's folder, on every platform."""
    return not {"", ".", ".."} & set(path.split("/")) and "\\" not in path and ":" not in path


def _openvino(paths: Iterable[str]) -> set[str]:
    top = {path for path in paths if "/" not in path}
    if not {"openvino_model.xml", "openvino_model.bin"} <= top:
        return set()
    networks = {path for path in top if path.endswith(".xml")}
    return networks | {path.removesuffix(".xml") + ".bin" for path in networks} | set(filter(is_text, top))


def _safetensors(paths: Iterable[str]) -> set[str]:
    known = {path for path in paths if "/" not in path or _MODULE_FILE.fullmatch(path)}
    weights = {path for path in known if path.endswith(".safetensors")}
    top = {path for path in weights if "/" not in path}
    if "config.json" not in known or not top:
        return set()
    # Repositories often hold the same weights twice: as one model, and in the maker's own layout.
    if "model.safetensors.index.json" in known:
        top = {path for path in top if re.fullmatch(r"model-\d+-of-\d+\.safetensors", path)} or top
    elif "model.safetensors" in top:
        top = {"model.safetensors"}
    return top | {path for path in weights if "/" in path} | set(filter(is_text, known))
