"""Progress where there is no terminal: a line now and then, with rate and time left."""

import io
from contextlib import closing

from scripts.progress import ProgressBars
from services.library.ingestion import Progress


def test_a_line_comes_now_and_then_with_share_rate_and_time_left() -> None:
    out, now = io.StringIO(), [100.0]
    with closing(ProgressBars(out, clock=lambda: now[0])) as bars:
        for second in range(0, 41, 4):
            now[0] = 100.0 + second
            bars(Progress("store", second * 50, 4_000))
    assert out.getvalue().splitlines() == [
        "documents: 600 of 4000 (15%), 50 docs/s, 68 s left",
        "documents: 1200 of 4000 (30%), 50 docs/s, 56 s left",
        "documents: 1800 of 4000 (45%), 50 docs/s, 44 s left",
    ]


def test_each_stage_has_a_rate_of_its_own() -> None:
    out, now = io.StringIO(), [0.0]
    bars = ProgressBars(out, clock=lambda: now[0])
    for stage, done in (("store", 0), ("store", 900), ("rebuild", 0), ("rebuild", 100)):
        bars(Progress(stage, done, 1_000))  # type: ignore[arg-type]
        now[0] += 10.0
    assert out.getvalue().splitlines() == [
        "documents: 900 of 1000 (90%), 90 docs/s, 1 s left",
        "vectors again, with another embedding model: 100 of 1000 (10%), 10 docs/s, 90 s left",
    ]


def test_what_is_done_sooner_says_nothing() -> None:
    out = io.StringIO()
    with closing(ProgressBars(out, clock=lambda: 5.0)) as bars:
        bars(Progress("embed", 1, 2))
        bars(Progress("embed", 2, 2))
    assert out.getvalue() == ""
