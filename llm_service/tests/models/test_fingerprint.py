from pathlib import Path

import pytest

from models.fingerprint import HEAD_BYTES, SAMPLE_BYTES, WHOLE_BYTES, model_fingerprint

LARGE = WHOLE_BYTES + 5 * 1024**2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder: small files, and weights too large to be read whole."""
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    with (tmp_path / "model.safetensors").open("wb") as weights:
        weights.truncate(LARGE)
    return tmp_path


def patch(file: Path, at: int) -> None:
    with file.open("r+b") as content:
        content.seek(at)
        content.write(b"\x01")


def test_the_same_files_elsewhere_are_the_same_model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy")
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert model_fingerprint(copy) == model_fingerprint(folder)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("config.json", 5),
        ("chat_template.jinja", 5),
        ("model.safetensors", 0),
        ("model.safetensors", HEAD_BYTES - 1),
        ("model.safetensors", HEAD_BYTES + SAMPLE_BYTES // 2),
        ("model.safetensors", LARGE - 1),
    ],
    ids=["config", "template", "start", "head", "sample", "end"],
)
def test_a_changed_byte_of_a_small_file_or_a_sample_of_a_large_one_changes_it(folder: Path, name: str, at: int) -> None:
    before = model_fingerprint(folder)
    patch(folder / name, at)
    assert model_fingerprint(folder) != before


def test_weights_of_another_size_change_it(folder: Path) -> None:
    before = model_fingerprint(folder)
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.truncate(LARGE + 1)
    assert model_fingerprint(folder) != before


def test_a_file_that_is_renamed_added_or_split_changes_it(folder: Path) -> None:
    seen = [model_fingerprint(folder)]
    (folder / "config.json").rename(folder / "config2.json")
    seen.append(model_fingerprint(folder))
    (folder / "extra.json").write_text("")
    seen.append(model_fingerprint(folder))
    (folder / "config2.json").write_text('{"hidden_')
    (folder / "config3.json").write_text('size": 64}')
    seen.append(model_fingerprint(folder))
    assert len(set(seen)) == len(seen)


def test_documentation_and_hidden_files_do_not_count(folder: Path) -> None:
    before = model_fingerprint(folder)
    (folder / "README.md").write_text("about the model")
    (folder / ".gitattributes").write_text("*.bin lfs")
    assert model_fingerprint(folder) == before


def test_a_single_file_is_a_model_too(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF one")
    before = model_fingerprint(file)
    file.write_bytes(b"GGUF two")
    assert model_fingerprint(file) != before
