"""Where on the hub a model may lie, and which of its files would be downloaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engines.base import ModelLoadError
from engines.model_artifacts import Backend, Format
from engines.model_hub import ModelHub
from engines.model_listing import (
    RepositoryFile,
    RepositoryListing,
    gguf_files,
    is_split_gguf,
    pickled_weights,
    select,
)
from engines.model_names import HubName, parse_hub_name

OPENVINO_ORGANISATION = "OpenVINO"
OPENVINO_SUFFIX = "-int4-ov"
"""How Intel's hub organisation names its pre-quantised exports of other organisations' models."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place on the hub where a model may lie, and the format it would have there."""

    name: HubName
    kind: Format


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """Which files of which repository to download."""

    source: Source
    listing: RepositoryListing
    files: tuple[RepositoryFile, ...]


def plan_generator(name: str, wanted: Sequence[Backend], hub: ModelHub, *, newest: bool = False) -> FetchPlan:
    """Choose what to download for a language model; asks the hub. ``newest`` looks past the pinned
    revision. Raises ``ModelLoadError``.
    """
    listings: dict[str, RepositoryListing] = {}
    for source in generator_sources(name, wanted):
        listing = listings.get(source.name.repo) or hub.look_up(source.name, newest=newest)
        if listing is None:
            continue
        listings[source.name.repo] = listing
        files = select(listing.files, source.kind, source.name.file)
        if files:
            return FetchPlan(source, listing, files)
    asked = parse_hub_name(name)
    own = listings.get(asked.repo) or hub.look_up(asked, newest=newest)
    raise ModelLoadError(_nothing_to_fetch(asked, own, wanted))


def plan_embedder(name: str, hub: ModelHub, *, newest: bool = False) -> FetchPlan:
    """Choose what to download for an embedding model; asks the hub. Raises ``ModelLoadError``."""
    source = Source(parse_hub_name(name), "safetensors")
    listing = hub.look_up(source.name, newest=newest)
    files = select(listing.files, source.kind) if listing else ()
    if listing is None or not any(file.path == "model.safetensors" for file in files):
        reason = _nothing_to_fetch(source.name, listing, ("transformers",))
        raise ModelLoadError(f"the hub has no embedding model {name} with safetensors weights ({reason})")
    return FetchPlan(source, listing, files)


def generator_sources(name: str, wanted: Sequence[Backend]) -> Iterator[Source]:
    """Name the places of a hub model, the preferred one first."""
    asked = parse_hub_name(name)
    if asked.file is not None:
        if is_split_gguf(asked.file):
            raise ModelLoadError(f"{asked.file} is one part of several: choose a quantisation that is a single file")
        yield Source(asked, "gguf")
        return
    for backend in wanted:
        if backend == "transformers":
            yield Source(asked, "safetensors")
            continue
        owner, _, base = asked.repo.partition("/")
        # A revision belongs to the repository it was named with, not to the export of another.
        if owner != OPENVINO_ORGANISATION and asked.revision is None:
            yield Source(HubName(f"{OPENVINO_ORGANISATION}/{base or owner}{OPENVINO_SUFFIX}"), "openvino")
        yield Source(asked, "openvino")


def _nothing_to_fetch(asked: HubName, own: RepositoryListing | None, wanted: Sequence[Backend]) -> str:
    if own is None:
        return f"the hub has no model {asked.repo}, or it is private: check the name, or set HUGGINGFACE_API_KEY"
    ggufs = gguf_files(own.files)
    if asked.file is not None:
        there = f"; it has {', '.join(ggufs)}" if ggufs else ""
        return f"{asked.repo} has no file {asked.file}{there}"
    if ggufs:
        return f"{asked.repo} holds GGUF files: name one of them, as in {asked.repo}:{ggufs[0]}"
    pickles = pickled_weights(own.files)
    if pickles and not select(own.files, "safetensors"):
        return (
            f"{asked.repo} offers its weights only as pickle ({pickles[0]}), which runs code when it is loaded, and "
            f"is refused: take a version with safetensors (perhaps {asked.repo}@refs/pr/1), GGUF or OpenVINO files"
        )
    if select(own.files, "safetensors") or select(own.files, "openvino"):
        return f"{asked.repo} holds nothing that {wanted[0]} can load: set LLM_BACKEND=auto"
    return f"{asked.repo} holds no model in safetensors, GGUF or OpenVINO format"
