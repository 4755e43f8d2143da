"""Sizes read from a model's files without loading it."""

import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from engines.base import ModelLoadError
from models.artifacts import ModelArtifact
from models.gguf_header import read_gguf_header
from models.resolve import local_artifact
from models.shape import DEFAULT_CONTEXT, ModelShape, read_shape


def shape_of(path: Path) -> ModelShape:
    return read_shape(ModelArtifact(path, "gguf", "m", "m"))


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """A file with every kind of field that has to be stepped over, and tensors of two types."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("a model ñandú")
    writer.add_token_list([f"token {index} ɨ" for index in range(500)])
    writer.add_token_scores([0.5] * 500)
    writer.add_add_bos_token(True)  # noqa: FBT003
    writer.add_context_length(40960)
    writer.add_block_count(28)
    writer.add_embedding_length(2048)
    writer.add_head_count(16)
    writer.add_head_count_kv(8)
    writer.add_key_length(128)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_uint64("general.number", 2**40)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((4, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_serving_needs_is_read(small_file: Path) -> None:
    shape = shape_of(small_file)
    assert (shape.architecture, shape.context_length) == ("qwen3", 40960)
    assert shape.kv_elements_per_token == 2 * 28 * 8 * 128
    assert shape.weight_bytes == small_file.stat().st_size
    assert shape.chat_template is None


def test_the_embedded_model_is_read() -> None:
    artifact = local_artifact("embedded")
    assert artifact is not None
    shape = read_shape(artifact)
    assert (shape.architecture, shape.context_length, shape.licence) == ("llama", 8192, "apache-2.0")
    assert shape.kv_elements_per_token == 2 * 30 * 3 * 64
    assert shape.chat_template is not None


def test_heads_that_differ_by_layer_are_added_up(tmp_path: Path) -> None:
    path = tmp_path / "layers.gguf"
    writer = gguf.GGUFWriter(path, "openelm")
    writer.add_block_count(3)
    writer.add_head_count([4, 8, 8])
    writer.add_head_count_kv([1, 2, 4])
    writer.add_key_length(64)
    writer.add_value_length(32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert shape_of(path).kv_elements_per_token == (1 + 2 + 4) * (64 + 32)


def test_long_arrays_are_read_when_they_are_named(small_file: Path) -> None:
    assert read_gguf_header(small_file)["tokenizer.ggml.tokens"] is None
    names = frozenset({"tokenizer.ggml.tokens", "tokenizer.ggml.scores"})
    fields = read_gguf_header(small_file, names)
    assert fields["tokenizer.ggml.tokens"][499] == "token 499 ɨ"
    assert fields["tokenizer.ggml.scores"] == [0.5] * 500


def test_a_folder_is_read(tmp_path: Path) -> None:
    config = {
        "architectures": ["Qwen3ForCausalLM"], "num_hidden_layers": 28, "num_attention_heads": 16, "hidden_size": 2048,
        "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "openvino_model.bin").write_bytes(b"0" * 100)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": [{"name": "default", "template": "t"}]})
    )
    shape = read_shape(ModelArtifact(tmp_path, "openvino", "m", "m"))
    assert shape == ModelShape(40960, 2 * 28 * 8 * 128, 100, "Qwen3ForCausalLM", "t")


def test_a_config_without_sizes_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    shape = read_shape(ModelArtifact(tmp_path, "openvino", "m", "m"))
    assert (shape.context_length, shape.kv_elements_per_token) == (DEFAULT_CONTEXT, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 and more",
        b"GGUF\x03\x00\x00",
        b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"name",
    ],
    ids=["empty", "another format", "cut short", "unknown version", "absurd length"],
)
def test_what_is_not_a_gguf_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match="not a readable GGUF file"):
        shape_of(path)


def test_a_file_cut_short_is_refused_wherever_it_ends(small_file: Path, tmp_path: Path) -> None:
    content = small_file.read_bytes()
    header_end = content.index(b"token_embd.weight") - 8
    path = tmp_path / "cut.gguf"
    for length in range(24, header_end, 97):
        path.write_bytes(content[:length])
        with pytest.raises(ModelLoadError):
            shape_of(path)
