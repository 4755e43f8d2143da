import hashlib
import json
from pathlib import Path

import pytest

from engines.base import ModelLoadError
from engines.embedders.recipe import embedding_fingerprints


def write_model(folder: Path, *, weights: bytes = b"weights", pooling: str = "mean_tokens", limit: int = 256) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    (folder / "model.safetensors").write_bytes(weights)
    modes = {f"pooling_mode_{mode}": mode == pooling for mode in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, **modes}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": limit}))
    return folder


def test_it_is_the_beginning_of_the_hash_of_five_lines(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    expected = hashlib.sha256(f"minilm-v1\n{digest}\nmean\ntrue\n256".encode()).hexdigest()[:16]
    assert embedding_fingerprints(write_model(tmp_path / "model")).plain == expected


def test_it_differs_with_weights_pooling_and_limit(tmp_path: Path) -> None:
    folders = [
        write_model(tmp_path / "a"),
        write_model(tmp_path / "b", weights=b"others"),
        write_model(tmp_path / "c", pooling="cls_token"),
        write_model(tmp_path / "d", limit=128),
    ]
    assert len({embedding_fingerprints(folder).plain for folder in folders}) == 4


@pytest.mark.parametrize("missing", ["model.safetensors", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_an_incomplete_folder_is_refused(tmp_path: Path, missing: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(ModelLoadError, match="not a complete"):
        embedding_fingerprints(folder)
