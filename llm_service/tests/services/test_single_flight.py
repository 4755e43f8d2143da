import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from services.deadline import Deadline
from services.errors import DeadlineExceeded
from services.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


class Work:
    """Numbers that come when the test says so, and how often somebody started to make them."""

    def __init__(self) -> None:
        self.started = self.stopped = 0
        self.gate = asyncio.Semaphore(0)

    async def numbers(self, count: int = 4, failure: Exception | None = None) -> AsyncGenerator[int, None]:
        self.started += 1
        try:
            for number in range(count):
                await self.gate.acquire()
                yield number
            if failure is not None:
                raise failure
        finally:
            self.stopped += 1

    def let_go(self, count: int) -> None:
        for _ in range(count):
            self.gate.release()


async def follow(
    flights: SingleFlight[int], work: AsyncGenerator[int, None], seen: list[int], limit_s: float | None = None
) -> None:
    with flights.board("key", lambda: work) as (flight, _):
        async with contextlib.aclosing(flight.follow(Deadline(limit_s))) as items:
            async for item in items:
                seen += [item]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_joins_late_gets_everything_from_the_beginning() -> None:
    flights, work = SingleFlight[int](), Work()
    seen: tuple[list[int], list[int]] = [], []
    first = asyncio.create_task(follow(flights, work.numbers(), seen[0]))
    work.let_go(2)
    await settle()
    second = asyncio.create_task(follow(flights, work.numbers(), seen[1]))
    await settle()
    assert seen == ([0, 1], [0, 1])
    work.let_go(2)
    await asyncio.gather(first, second)
    assert seen == ([0, 1, 2, 3], [0, 1, 2, 3])
    assert (work.started, work.stopped, len(flights)) == (1, 1, 0)


async def test_the_flight_goes_on_without_whom_it_was_started_for() -> None:
    flights, work = SingleFlight[int](), Work()
    seen: list[int] = []
    first = asyncio.create_task(follow(flights, work.numbers(), []))
    second = asyncio.create_task(follow(flights, work.numbers(), seen))
    work.let_go(1)
    await settle()
    first.cancel()
    await settle()
    work.let_go(3)
    await second
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("given", [0, 2])
async def test_the_last_to_leave_stops_the_work(given: int) -> None:
    flights, work = SingleFlight[int](), Work()
    callers = [asyncio.create_task(follow(flights, work.numbers(), [])) for _ in range(3)]
    work.let_go(given)
    await settle()
    for number, caller in enumerate(callers):
        assert work.stopped == 0, f"{number} of 3 have left"
        caller.cancel()
        await settle()
    assert (work.started, work.stopped, len(flights)) == (1, 1, 0)


async def test_who_comes_when_the_last_has_just_left_starts_anew() -> None:
    flights, work = SingleFlight[int](), Work()
    leaving = asyncio.create_task(follow(flights, work.numbers(), []))
    await settle()
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    seen: list[int] = []
    coming = asyncio.create_task(follow(flights, work.numbers(), seen))
    work.let_go(4)
    await coming
    assert seen == [0, 1, 2, 3]
    assert work.started == 2


async def test_a_failure_reaches_everyone_after_what_came_before_it() -> None:
    flights, work = SingleFlight[int](), Work()
    seen: tuple[list[int], list[int]] = [], []
    callers = [asyncio.create_task(follow(flights, work.numbers(2, ValueError("broken")), mine)) for mine in seen]
    work.let_go(2)
    failures = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["broken", "broken"]
    assert seen == ([0, 1], [0, 1])
    assert len(flights) == 0


async def test_a_deadline_ends_the_wait_of_its_own_caller_only() -> None:
    flights, work = SingleFlight[int](), Work()
    seen: list[int] = []
    patient = asyncio.create_task(follow(flights, work.numbers(), seen))
    with pytest.raises(DeadlineExceeded):
        await follow(flights, work.numbers(), [], limit_s=0.01)
    work.let_go(4)
    await patient
    assert seen == [0, 1, 2, 3]


async def test_other_keys_fly_apart() -> None:
    flights, work = SingleFlight[int](), Work()
    with (
        flights.board("one", work.numbers) as (one, one_is_first),
        flights.board("two", work.numbers) as (two, two_is_first),
        flights.board("one", work.numbers) as (joined, joined_is_first),
    ):
        assert one is joined
        assert one is not two
        assert (one_is_first, two_is_first, joined_is_first) == (True, True, False)
