"""Random tiny models of every kind: our vectors are those of ``SentenceTransformer.encode``, or a refusal by name."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts

from engines.base import Engine, ModelLoadError
from engines.encoders.embedding_recipe import embedding_fingerprints, read_recipe
from engines.events import FloatMatrix
from engines.requests import EmbeddingRequest
from models.artifacts import ModelArtifact
from tests.engines.conftest import settings_with
from tests.engines.driving import run
from tests.engines.encoders.tiny_cross_encoder import letter_tokenizer

pytestmark = pytest.mark.usefixtures("export_here")
library: Any = transformers
HIDDEN, LIMIT = 32, 24
TEXTS = ("a b c", "x", "", "hola que tal", "z " * 60, "the river rises", "A B C", "b a c d e f g h i j k l m n")


def save_encoder(folder: Path, *, decoder: bool = False) -> Path:
    """Write a random encoder whose tokens are letters; ``decoder``: one that reads from left to right."""
    fast = letter_tokenizer("bert")
    torch.manual_seed(3)
    sizes = {"vocab_size": len(fast), "hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4}
    if decoder:
        config = library.Qwen3Config(**sizes, intermediate_size=64, num_key_value_heads=2, max_position_embeddings=64)
    else:
        config = library.BertConfig(**sizes, intermediate_size=64, max_position_embeddings=64, initializer_range=0.3)
    library.AutoModel.from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def build(
        *more: torch.nn.Module,
        pooling: Any = "mean",
        decoder: bool = False,
        prompts: Any = None,
        named: str | None = None,
    ) -> Path:
        encoder = parts.Transformer(str(save_encoder(tmp_path / "encoder", decoder=decoder)), max_seq_length=LIMIT)
        modules = [encoder, parts.Pooling(HIDDEN, pooling_mode=pooling), *more]
        model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts, default_prompt_name=named)
        model.save(str(tmp_path / "model"))
        limits = tmp_path / "model" / "sentence_bert_config.json"
        limits.write_text(json.dumps(json.loads(limits.read_text()) | {"max_seq_length": LIMIT}))
        return tmp_path / "model"

    return build


def serve(folder: Path, cache: Path) -> Engine:
    """Load the engine that the worker would."""
    artifact = ModelArtifact(folder, "safetensors", "tiny", "tiny")
    settings = settings_with(llm_device_map="cpu", model_cache_dir=cache)
    if read_recipe(folder).suits_openvino:
        from engines.encoders.openvino import OpenVinoEmbedder

        return OpenVinoEmbedder(artifact, settings)
    from engines.encoders.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(artifact, settings)


def unit(vectors: FloatMatrix) -> FloatMatrix:
    unit_vectors: FloatMatrix = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit_vectors


def assert_same_as_the_library(folder: Path, cache: Path, *, engine: str, texts: Sequence[str] = TEXTS) -> None:
    expected = SentenceTransformer(str(folder), device="cpu").encode(list(texts), show_progress_bar=False)
    served = serve(folder, cache)
    assert served.info.backend == engine
    outcome = run(served, EmbeddingRequest("one", tuple(texts)), EmbeddingRequest("raw", tuple(texts), normalize=False))
    for name in ("one", "raw"):
        vectors = outcome[name].embedded.vectors
        assert vectors.shape == expected.shape == (len(texts), served.info.dimension)
        assert np.sum(unit(vectors) * unit(expected), axis=1).min() >= 0.9999
    np.testing.assert_allclose(np.linalg.norm(outcome["one"].embedded.vectors, axis=1), 1.0, atol=1e-5)
    assert [outcome["one"].embedded.truncated[at] for at in (0, 4)] == [False, True]
    assert max(outcome["one"].embedded.tokens) == LIMIT


@pytest.mark.model
@pytest.mark.parametrize("normalised", [True, False])
def test_the_mean_of_a_bert_is_openvinos(save: Save, tmp_path: Path, normalised: bool) -> None:
    folder = save(*([parts.Normalize()] if normalised else []))
    assert_same_as_the_library(folder, tmp_path, engine="openvino")


@pytest.mark.parametrize("pooling", ["cls", "weightedmean", ("cls", "mean")])
def test_other_poolings_are_the_librarys(save: Save, tmp_path: Path, pooling: Any) -> None:
    assert_same_as_the_library(save(pooling=pooling), tmp_path, engine="sentence_transformers")


def test_the_last_token_of_a_decoder(save: Save, tmp_path: Path) -> None:
    folder = save(parts.Normalize(), pooling="lasttoken", decoder=True)
    assert_same_as_the_library(folder, tmp_path, engine="sentence_transformers")


@pytest.mark.parametrize("order", ["dense, normalised", "normalised, dense"])
def test_a_dense_layer_is_applied(save: Save, tmp_path: Path, order: str) -> None:
    torch.manual_seed(5)
    layers = {"dense": parts.Dense(HIDDEN, 12), "normalised": parts.Normalize()}
    folder = save(*(layers[name] for name in order.split(", ")))
    assert_same_as_the_library(folder, tmp_path, engine="sentence_transformers")


@pytest.mark.model
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_default_prompt_precedes_each_text(save: Save, tmp_path: Path, pooling: str) -> None:
    prompts = {"query": "question q: ", "document": "d "}
    folder = save(prompts=prompts, named="query", pooling=pooling)
    assert read_recipe(folder).prompts[None] == "question q: "
    assert_same_as_the_library(folder, tmp_path, engine="openvino" if pooling == "mean" else "sentence_transformers")


@pytest.mark.model
@pytest.mark.parametrize("kind", ["openvino", "sentence_transformers", "prompt not pooled"])
def test_queries_and_documents_have_prompts_of_their_own(save: Save, tmp_path: Path, kind: str) -> None:
    folder = save(prompts={"query": "question q: ", "passage": "d "}, pooling="cls" if kind != "openvino" else "mean")
    if kind == "prompt not pooled":
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
        (folder / "1_Pooling" / "config.json").write_text(
            json.dumps(pooling | {"pooling_mode": "mean", "include_prompt": False})
        )
    library_model = SentenceTransformer(str(folder), device="cpu")
    served = serve(folder, tmp_path)
    assert served.info.backend == ("openvino" if kind == "openvino" else "sentence_transformers")
    # Both types share batches.
    outcome = run(
        served,
        EmbeddingRequest("query", TEXTS, input_type="query"),
        EmbeddingRequest("document", TEXTS, input_type="document"),
        EmbeddingRequest("plain", TEXTS),
    )
    expected = {
        "query": library_model.encode_query(list(TEXTS), show_progress_bar=False),
        "document": library_model.encode_document(list(TEXTS), show_progress_bar=False),
        "plain": library_model.encode(list(TEXTS), show_progress_bar=False),
    }
    for name, vectors in expected.items():
        assert np.sum(outcome[name].embedded.vectors * unit(vectors), axis=1).min() >= 0.9999
    assert served.info.fingerprint != served.info.search_fingerprint


@pytest.mark.model
def test_prompts_that_are_no_default_change_nothing(save: Save, tmp_path: Path) -> None:
    assert_same_as_the_library(save(prompts={"query": "question q: "}), tmp_path, engine="openvino")


OLD_STYLE = {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False}


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_both_styles_of_a_pooling_config_are_one(save: Save, mode: str) -> None:
    folder = save(pooling=mode)
    new = (read_recipe(folder), embedding_fingerprints(folder).plain)
    old = OLD_STYLE | {"pooling_mode_mean_tokens": mode == "mean", "pooling_mode_cls_token": mode == "cls"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old))
    assert (read_recipe(folder), embedding_fingerprints(folder).plain) == new
    assert read_recipe(folder).suits_openvino == (mode == "mean")


def test_what_changes_vectors_changes_the_fingerprint(save: Save) -> None:
    folder = save(parts.Dense(HIDDEN, 12), prompts={"q": "q: ", "query": "question q: ", "document": "d "})
    prints = [embedding_fingerprints(folder)]
    described = json.loads((folder / "config_sentence_transformers.json").read_text())
    described["prompts"]["document"] = "other: "
    for change in ({}, {"default_prompt_name": "q"}):
        (folder / "config_sentence_transformers.json").write_text(json.dumps(described | change))
        prints.append(embedding_fingerprints(folder))
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"other weights")
    prints.append(embedding_fingerprints(folder))
    assert prints[0].plain == prints[1].plain, "the prompt of documents concerns a search alone"
    assert len({each.plain for each in prints}) == 3
    assert len({each.search for each in prints}) == 3


@pytest.mark.parametrize("missing", ["model.safetensors", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_an_incomplete_folder_is_refused(save: Save, missing: str) -> None:
    folder = save()
    (folder / missing).unlink()
    with pytest.raises(ModelLoadError, match="not a complete"):
        embedding_fingerprints(folder)


@pytest.mark.parametrize("kind", ["sentence_transformers.models.WordWeights", "own_code.Head"])
def test_an_unknown_module_is_refused_by_name(save: Save, tmp_path: Path, kind: str) -> None:
    folder = save()
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"idx": 2, "name": "2", "path": "2", "type": kind}]))
    with pytest.raises(ModelLoadError, match=f"model cannot be served: .*{kind.rpartition('.')[2]}"):
        serve(folder, tmp_path)


def test_an_unknown_pooling_is_refused_by_name(save: Save, tmp_path: Path) -> None:
    folder = save()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 8, "pooling_mode": "median"}))
    with pytest.raises(ModelLoadError, match="median"):
        serve(folder, tmp_path)
