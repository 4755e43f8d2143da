"""What every engine that embeds texts has to do."""

import random
from pathlib import Path

import numpy as np
import pytest

from engines.base import Engine
from engines.events import FloatMatrix
from engines.requests import EmbeddingRequest
from services.quantization import quantize
from tests.engines.driving import Outcome, run, step_until

BATCH_TOLERANCE = 1e-3
"""Largest difference of one number of a vector."""
WORDS = {
    "spanish": "el agua del río crece mañana niño canción pingüino corazón años ¿quién? ¡ven! árbol según día",
    "bora_letters": "ɨ́ɨ́ tsʼɨɨ dsɨ́ ñéhtsɨ́ kʷa páɨɨ tʲɨ́ ʔajtyúmɨ́ wáábyau úmehe méɨ́ɨ",
    "english": "the river rises tomorrow a child sings quickly seven birds return home after the rain",
    "symbols": "😊 👩‍🚀 🌊 — “x” ½ № ∑ 日本語 العربية ñ̃ \u200b \t 3.14 a/b #tag <b>",
}


def varied_texts() -> list[str]:
    """Return 203 texts of all lengths and alphabets, the same at every call."""
    rng = random.Random(20)
    lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 25, 30, 40, 60, 300]
    vocabularies = [words.split() for words in WORDS.values()]
    vocabularies.append([word for words in vocabularies for word in words])
    texts = [" ".join(rng.choices(vocabularies[at % 5], k=lengths[at % 19])) for at in range(198)]
    return [*texts, "", " ", "a", "MAYÚSCULAS y minúsculas", "x" * 3000]


@pytest.fixture(scope="session")
def reference(embedding_model_folder: Path) -> FloatMatrix:
    """What sentence-transformers itself computes in float32 for ``varied_texts``."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedding_model_folder), device="cpu", local_files_only=True)
    vectors: FloatMatrix = model.encode(varied_texts(), normalize_embeddings=True, show_progress_bar=False)
    return vectors


@pytest.fixture(scope="session")
def varied_vectors(embedder: Engine) -> FloatMatrix:
    """What the engine under test makes of ``varied_texts``."""
    return embed(embedder, *varied_texts())


def embed(engine: Engine, *texts: str, normalize: bool = True) -> FloatMatrix:
    return run(engine, EmbeddingRequest("one", texts, normalize))["one"].embedded.vectors


def test_vectors_are_unit_float32_of_the_stated_dimension(embedder: Engine, varied_vectors: FloatMatrix) -> None:
    assert varied_vectors.dtype == np.float32
    assert varied_vectors.shape == (len(varied_texts()), embedder.info.dimension)
    np.testing.assert_allclose(np.linalg.norm(varied_vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.model
@pytest.mark.parametrize("embedder", ["sentence_transformers", "openvino"], indirect=True)
def test_every_vector_agrees_with_sentence_transformers(varied_vectors: FloatMatrix, reference: FloatMatrix) -> None:
    cosines = np.sum(varied_vectors * reference, axis=1)
    assert cosines.min() >= 0.9999, varied_texts()[int(cosines.argmin())]


@pytest.mark.model
def test_bits_are_those_of_the_librarys_ubinary(reference: FloatMatrix) -> None:
    """Here, where the library is loaded, which takes seconds."""
    from sentence_transformers.util import quantize_embeddings

    bits, scales = quantize(reference, "binary")
    assert (bits.dtype.name, bits.shape, scales) == ("uint8", (len(reference), 48), None)
    assert np.array_equal(bits, quantize_embeddings(reference, precision="ubinary"))


def test_the_order_of_the_texts_is_kept(embedder: Engine, varied_vectors: FloatMatrix) -> None:
    backwards = embed(embedder, *reversed(varied_texts()[:18]))
    np.testing.assert_allclose(np.sum(varied_vectors[:18] * backwards[::-1], axis=1), 1.0, atol=1e-3)


def test_a_batch_does_not_change_a_vector(embedder: Engine, varied_vectors: FloatMatrix) -> None:
    alone = np.concatenate([embed(embedder, text) for text in varied_texts()[:18]])
    assert np.abs(varied_vectors[:18] - alone).max() <= BATCH_TOLERANCE


def test_a_text_over_the_limit_is_cut_and_says_so(embedder: Engine) -> None:
    limit = embedder.info.context_length
    texts = ("hola", "agua " * (2 * limit), "")
    embedded = run(embedder, EmbeddingRequest("one", texts))["one"].embedded
    assert embedded.truncated == (False, True, False)
    assert embedded.tokens[1] == limit
    assert 0 < embedded.tokens[0] < 8
    longer = embed(embedder, "agua " * (3 * limit))
    if embedder.info.backend != "fake":
        np.testing.assert_allclose(longer[0], embedded.vectors[1], atol=1e-3)


def test_vectors_that_are_not_normalised_have_the_same_direction(embedder: Engine) -> None:
    texts = varied_texts()[:8]
    raw, unit = embed(embedder, *texts, normalize=False), embed(embedder, *texts)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).max() > 0.01
    np.testing.assert_allclose(np.sum(raw / lengths * unit, axis=1), 1.0, atol=1e-3)


def test_requests_at_the_same_time_get_their_own_vectors(embedder: Engine, varied_vectors: FloatMatrix) -> None:
    texts = varied_texts()
    outcomes = run(embedder, *(EmbeddingRequest(f"{at}", tuple(texts[at : at + 7])) for at in range(0, 49, 7)))
    for at in range(0, 49, 7):
        cosines = np.sum(outcomes[f"{at}"].embedded.vectors * varied_vectors[at : at + 7], axis=1)
        np.testing.assert_allclose(cosines, 1.0, atol=1e-3)


def test_a_cancelled_request_is_silent(embedder: Engine) -> None:
    embedder.submit(EmbeddingRequest("cancelled", tuple(varied_texts())))
    embedder.submit(EmbeddingRequest("kept", ("hola",)))
    embedder.cancel("cancelled")
    embedder.cancel("never heard of")
    kept = Outcome()
    step_until(embedder, lambda: kept.end is not None, {"kept": kept})
    assert embedder.running == 0


@pytest.mark.model
@pytest.mark.parametrize("embedder", ["sentence_transformers", "openvino"], indirect=True)
def test_a_long_request_can_be_cancelled_half_way(embedder: Engine) -> None:
    embedder.submit(EmbeddingRequest("cancelled", tuple(varied_texts())))
    assert list(embedder.step()) == []
    assert embedder.running == 1
    embedder.cancel("cancelled")
    assert embedder.running == 0
    assert embed(embedder, "hola").shape == (1, embedder.info.dimension)
