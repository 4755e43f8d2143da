import hashlib
import json
from pathlib import Path

import pytest

from engines.base import ModelLoadError
from engines.encoders.embedding_recipe import embedding_fingerprints


def write_model(folder: Path) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for path, kind in kinds.items()]
    pooling = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256}))
    return folder


def test_it_is_the_beginning_of_the_hash_of_five_lines(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    expected = hashlib.sha256(f"minilm-v1\n{digest}\nmean\ntrue\n256".encode()).hexdigest()[:16]
    prints = embedding_fingerprints(write_model(tmp_path / "model"))
    assert (prints.plain, prints.search) == (expected, expected)


@pytest.mark.parametrize("missing", ["model.safetensors", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_an_incomplete_folder_is_refused(tmp_path: Path, missing: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(ModelLoadError, match="not a complete"):
        embedding_fingerprints(folder)
