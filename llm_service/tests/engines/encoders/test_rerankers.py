"""Random tiny cross-encoders: our scores are those of ``CrossEncoder.predict``, or a refusal by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from engines.base import Engine, ModelLoadError
from engines.encoders.ranking_recipe import read_recipe
from engines.events import FloatVector
from engines.requests import RankingRequest
from models.artifacts import ModelArtifact
from tests.engines.conftest import settings_with
from tests.engines.driving import run
from tests.engines.encoders.tiny_cross_encoder import LIMIT, save_cross_encoder

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("export_here")]
TOLERANCE = 1e-3
QUERY = "where does the river rise"
DOCUMENTS = (
    "the river rises far away",
    "x",
    "",
    "bread is baked at night",
    "z " * 60,
    "a b c d e f g h i j k l m n",
    *(f"{'water ' * count}" for count in range(1, 20)),
)


def serve(folder: Path, cache: Path, engine: str = "auto") -> Engine:
    """Load the engine that the worker would, or the other one."""
    artifact = ModelArtifact(folder, "safetensors", "tiny", "tiny")
    settings = settings_with(llm_device_map="cpu", model_cache_dir=cache)
    if engine == "openvino" or (engine == "auto" and read_recipe(folder).suits_openvino):
        from engines.encoders.openvino import OpenVinoReranker

        return OpenVinoReranker(artifact, settings)
    from engines.encoders.sentence_transformers import SentenceTransformersReranker

    return SentenceTransformersReranker(artifact, settings)


def library_scores(folder: Path, query: str = QUERY, **options: Any) -> FloatVector:
    model: Any = CrossEncoder(str(folder), device="cpu")
    scores: FloatVector = model.predict([(query, text) for text in DOCUMENTS], show_progress_bar=False, **options)
    return scores


@pytest.mark.parametrize(
    ("family", "engine"),
    [
        ("bert", "openvino"),
        ("xlm-roberta", "openvino"),
        ("modernbert", "openvino"),
        ("electra", "sentence_transformers"),
    ],
)
def test_scores_are_the_librarys(tmp_path: Path, family: str, engine: str) -> None:
    folder = save_cross_encoder(tmp_path / "model", family)
    served = serve(folder, tmp_path)
    assert served.info.backend == engine
    served.warm_up()
    outcome = run(
        served,
        RankingRequest("one", QUERY, DOCUMENTS),
        RankingRequest("raw", QUERY, DOCUMENTS, raw=True),
        RankingRequest("long query", "q " * 30, DOCUMENTS),
    )
    expected = library_scores(folder)
    assert np.ptp(expected) > 0.01, "scores that differ, or the comparison says nothing"
    np.testing.assert_allclose(outcome["one"].ranked.scores, expected, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(outcome["long query"].ranked.scores, library_scores(folder, "q " * 30), atol=TOLERANCE)
    logits = np.log(expected / (1 - expected))
    np.testing.assert_allclose(outcome["raw"].ranked.scores, logits, atol=10 * TOLERANCE)
    assert [outcome["one"].ranked.truncated[at] for at in (1, 4)] == [False, True]
    assert max(outcome["one"].ranked.tokens) == LIMIT


@pytest.mark.parametrize("where", ["config", "config_sentence_transformers", "old"])
def test_the_models_own_activation_is_used(tmp_path: Path, where: str) -> None:
    folder = save_cross_encoder(tmp_path / "model", "bert")
    identity = "torch.nn.modules.linear.Identity"
    config = json.loads((folder / "config.json").read_text())
    if where == "config":
        config["sentence_transformers"] = {"activation_fn": identity}
    elif where == "old":
        config["sbert_ce_default_activation_function"] = identity
    else:
        CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity()).save(str(folder))
        config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    scores = run(serve(folder, tmp_path, "sentence_transformers"), RankingRequest("one", QUERY, DOCUMENTS))[
        "one"
    ].ranked
    np.testing.assert_allclose(scores.scores, library_scores(folder), atol=TOLERANCE, rtol=0)
    assert scores.scores.min() < 0 or scores.scores.max() > 1


def test_a_classifier_is_refused_by_name(tmp_path: Path) -> None:
    folder = save_cross_encoder(tmp_path / "model", "bert", labels=2)
    with pytest.raises(ModelLoadError, match="2 labels"):
        serve(folder, tmp_path)


def test_another_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    folder = save_cross_encoder(tmp_path / "model", "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"]}))
    with pytest.raises(ModelLoadError, match="BertModel"):
        serve(folder, tmp_path)
