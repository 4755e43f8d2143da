import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from engines.gguf_metadata import GGUFError, read_gguf_metadata


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
    metadata = read_gguf_metadata(small_file)
    assert metadata.architecture == "qwen3"
    assert metadata.context_length == 40960
    assert (metadata.layers, metadata.kv_heads, metadata.head_size) == (28, 8, 128)
    assert metadata.tensor_types == {"F32", "F16"}
    assert metadata.kv_elements_per_token == 2 * 28 * 8 * 128


def test_the_embedded_model_is_read(language_model_file: Path) -> None:
    metadata = read_gguf_metadata(language_model_file)
    assert (metadata.architecture, metadata.context_length) == ("llama", 8192)
    assert (metadata.layers, metadata.kv_heads, metadata.head_size) == (30, 3, 64)
    assert "Q4_1" in metadata.tensor_types


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 and more", b"GGUF", b"GGUF\x03\x00\x00"])
def test_what_is_not_a_gguf_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with pytest.raises(GGUFError):
        read_gguf_metadata(path)


def test_a_version_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "future.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 99, 0, 0))
    with pytest.raises(GGUFError, match="99"):
        read_gguf_metadata(path)


def test_a_file_cut_short_is_refused_wherever_it_ends(small_file: Path, tmp_path: Path) -> None:
    content = small_file.read_bytes()
    header_end = content.index(b"blk.0.attn_q.weight")
    path = tmp_path / "cut.gguf"
    for length in range(24, header_end, 97):
        path.write_bytes(content[:length])
        with pytest.raises(GGUFError):
            read_gguf_metadata(path)


def test_a_length_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"name")
    with pytest.raises(GGUFError):
        read_gguf_metadata(path)
