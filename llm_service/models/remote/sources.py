"""Where on the hub a model may lie, and which of its files are downloaded.

``generator_sources`` is the rule behind ``LLM_BACKEND=auto``; docs/models.md has it as a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engines.base import ModelLoadError
from models.artifacts import SEVERAL_NETWORKS, Backend, several_networks
from models.hardware import cuda_device_count, has_avx512
from models.hub import ModelHub
from models.names import HubName, Source, parse_hub_name
from models.remote.listing import (
    FetchPlan,
    RepositoryListing,
    gguf_files,
    is_split_gguf,
    pickled_weights,
    q4_k_m_file,
    select,
)

OPENVINO_EXPORT = "OpenVINO/{name}-int4-ov"
"""How Intel's organisation on the hub names its exports of other organisations' models."""
GGUF_CONVERSIONS = (
    "{owner}/{name}-GGUF", "ggml-org/{name}-GGUF", "unsloth/{name}-GGUF", "bartowski/{owner}_{name}-GGUF",
)  # fmt: skip
"""Repositories that may hold a model in Q4_K_M, in the order in which they are tried (docs/models.md says why)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Properties by which ``auto`` chooses files: a CUDA device, a processor with AVX-512."""

    cuda: bool = False
    avx512: bool = False


def this_machine(device_map: str) -> Machine:
    """Return the properties of this machine; ``device_map`` is ``LLM_DEVICE_MAP``."""
    return Machine(cuda=device_map != "cpu" and cuda_device_count() > 0, avx512=has_avx512())


def generator_sources(name: str, backend: str, machine: Machine) -> list[Source]:
    """Return the places of a hub model in the order of preference. Raises ``ModelLoadError``."""
    asked = parse_hub_name(name)
    if asked.file is not None and backend not in ("auto", "llamacpp"):
        raise ModelLoadError(
            f"{name} is a GGUF file, which LLM_BACKEND={backend} does not load: set LLM_BACKEND=llamacpp (or auto)"
        )
    places = _places(asked)
    order: tuple[Backend, ...] = ("llamacpp", "openvino", "transformers")
    if backend != "auto":
        order = tuple(engine for engine in order if engine == backend)
    elif machine.cuda:
        order = ("transformers", "llamacpp", "openvino")
    elif machine.avx512:
        order = ("openvino", "llamacpp", "transformers")
    return [source for engine in order for source in places[engine]]


def _places(asked: HubName) -> dict[Backend, list[Source]]:
    if asked.file is not None:
        if is_split_gguf(asked.file):
            raise ModelLoadError(f"{asked.file} is one part of several: choose a quantisation that is a single file")
        return {"llamacpp": [Source(asked, "gguf")], "openvino": [], "transformers": []}
    owner, _, base = asked.repo.rpartition("/")
    # A revision belongs to the repository it was named with, not to a conversion by others.
    derived = owner and not asked.revision
    conversions = [HubName(place.format(owner=owner, name=base)) for place in GGUF_CONVERSIONS] if derived else []
    exports = [HubName(OPENVINO_EXPORT.format(name=base))] if derived and owner != "OpenVINO" else []
    return {
        "llamacpp": [Source(place, "gguf") for place in (asked, *conversions)],
        "openvino": [Source(place, "openvino") for place in (*exports, asked)],
        "transformers": [Source(asked, "safetensors")],
    }


def plan_generator(name: str, backend: str, machine: Machine, hub: ModelHub, *, newest: bool = False) -> FetchPlan:
    """Choose the files to download for a language model; asks the hub. ``newest`` ignores the pinned revision.

    Raises ``ModelLoadError``.
    """
    asked = parse_hub_name(name)
    listings: dict[str, RepositoryListing | None] = {}
    for source in generator_sources(name, backend, machine):
        repo = source.name.repo
        if repo not in listings:
            listings[repo] = hub.look_up(source.name, newest=newest)
        listing = listings[repo]
        if listing is None or not _made_from(listing, asked):
            continue
        file = source.name.file or (q4_k_m_file(listing.files) if source.kind == "gguf" else None)
        if files := select(listing.files, source.kind, file):
            return FetchPlan(Source(HubName(repo, file, source.name.revision), source.kind), listing, files)
    own = listings.get(asked.repo) or hub.look_up(asked, newest=newest)
    raise ModelLoadError(_nothing_to_fetch(asked, own, backend))


def plan_encoder(name: str, what: str, hub: ModelHub, *, newest: bool = False) -> FetchPlan:
    """Choose the files to download for an encoder, ``what`` in errors; asks the hub. Raises ``ModelLoadError``."""
    source = Source(parse_hub_name(name), "safetensors")
    listing = hub.look_up(source.name, newest=newest)
    files = select(listing.files, source.kind) if listing else ()
    if listing is None or not any(file.path == "model.safetensors" for file in files):
        reason = _nothing_to_fetch(source.name, listing, "transformers")
        raise ModelLoadError(f"the hub has no {what} model {name} with safetensors weights ({reason})")
    return FetchPlan(source, listing, files)


def _made_from(listing: RepositoryListing, asked: HubName) -> bool:
    """Whether a repository holds the model that was asked for, and not one of the same name by another owner."""
    bases: Sequence[str] = [base.lower() for base in listing.base_models]
    return listing.repo == asked.repo or not bases or asked.repo.lower() in bases


def _nothing_to_fetch(asked: HubName, own: RepositoryListing | None, backend: str) -> str:
    if own is None:
        return f"the hub has no model {asked.repo}, or it is private: check the name, or set HUGGINGFACE_API_KEY"
    ggufs = gguf_files(own.files)
    if asked.file is not None:
        there = f"; it has {', '.join(ggufs)}" if ggufs else ""
        return f"{asked.repo} has no file {asked.file}{there}"
    if ggufs:
        return f"{asked.repo} holds GGUF files: name one of them, as in {asked.repo}:{ggufs[0]}"
    if any(file.path == SEVERAL_NETWORKS for file in own.files):
        return several_networks(asked.repo)
    pickles = pickled_weights(own.files)
    if pickles and not select(own.files, "safetensors"):
        return (
            f"{asked.repo} offers its weights only as pickle ({pickles[0]}), which runs code when it is loaded, and "
            f"is refused: take a version with safetensors (perhaps {asked.repo}@refs/pr/1), GGUF or OpenVINO files"
        )
    if select(own.files, "safetensors") or select(own.files, "openvino"):
        return f"neither {asked.repo} nor a conversion of it has files that {backend} loads: set LLM_BACKEND=auto"
    return f"{asked.repo} holds no model in safetensors, GGUF or OpenVINO format"
