from engines.openvino.stream_pace import SECONDS_PER_STREAM, StreamPace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def due_after(pace: StreamPace, clock: Clock, seconds: float, streams: int = 1) -> bool:
    clock.now += seconds
    return pace.is_due(streams)


def test_text_is_due_once_in_an_interval() -> None:
    clock = Clock()
    pace = StreamPace(0.04, clock)
    assert [due_after(pace, clock, 0.015) for _ in range(6)] == [False, False, True, False, False, True]


def test_slow_tokens_are_sent_one_by_one() -> None:
    clock = Clock()
    pace = StreamPace(0.04, clock)
    assert all(due_after(pace, clock, 0.05) for _ in range(3))


def test_the_more_read_along_the_longer_is_the_interval() -> None:
    clock = Clock()
    pace = StreamPace(0.04, clock)
    interval = 32 * SECONDS_PER_STREAM
    assert not due_after(pace, clock, interval * 0.9, streams=32)
    assert due_after(pace, clock, interval * 0.2, streams=32)


def test_without_an_interval_every_token_is_due() -> None:
    clock = Clock()
    pace = StreamPace(0.0, clock)
    assert all(due_after(pace, clock, 0.0, streams=100) for _ in range(3))
