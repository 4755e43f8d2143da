"""How long a step may be."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from engines.openvino import step_size
from engines.openvino.step_size import AIM_S, LARGEST, LONGEST_STEP_S, MEASUREMENTS, SHORTEST_STEP_S, SMALLEST


@pytest.mark.parametrize("seconds", [SHORTEST_STEP_S, AIM_S, LONGEST_STEP_S])
def test_a_step_of_about_the_right_length_is_kept(seconds: float) -> None:
    assert step_size.better(256, seconds) is None


@pytest.mark.parametrize(("seconds", "expected"), [(4 * AIM_S, 64), (AIM_S / 4, 1024), (0.0, LARGEST)])
def test_a_step_is_brought_to_the_length_it_may_have(seconds: float, expected: int) -> None:
    assert step_size.better(256, seconds) == expected


def test_a_model_too_slow_for_the_smallest_step_keeps_it() -> None:
    assert step_size.better(SMALLEST, 10.0) is None
    assert step_size.better(64, 10.0) == SMALLEST


@pytest.mark.parametrize(("size", "expected"), [(SMALLEST, SMALLEST), (64, 256), (96, 256), (512, 512)])
def test_short_prompts_share_a_longer_step(size: int, expected: int) -> None:
    assert step_size.burst(size) == expected


def test_what_is_measured_is_a_step_with_tokens_that_no_cache_knows() -> None:
    prompts: list[Sequence[int]] = []
    assert step_size.measure(prompts.append, 64, 40) < SHORTEST_STEP_S
    assert [len(prompt) for prompt in prompts] == [64] * (1 + MEASUREMENTS)
    assert len(set(map(tuple, prompts))) == len(prompts)
    assert all(token < 40 for prompt in prompts for token in prompt)


def test_the_quickest_measurement_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 11.0, 20.0, 20.2])  # compiling, then two measurements
    monkeypatch.setattr("engines.openvino.step_size.time.perf_counter", lambda: next(clock))
    assert step_size.measure(lambda _: None, 64, 40) == pytest.approx(0.2)


def test_sizes_are_kept_by_model(tmp_path: Path) -> None:
    folder = tmp_path / "new folder"
    assert step_size.load(folder, "a") is None
    step_size.save(folder, "a", 96)
    step_size.save(folder, "b", 320)
    assert (step_size.load(folder, "a"), step_size.load(folder, "b")) == (96, 320)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "many"}', '{"a": true'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "step-sizes.json").write_text(content, encoding="utf-8")
    assert step_size.load(tmp_path, "a") is None
    step_size.save(tmp_path, "a", 96)
    assert step_size.load(tmp_path, "a") == 96
