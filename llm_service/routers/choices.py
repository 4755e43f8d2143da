"""Several answers to one request, generated concurrently."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

from services.results import GenerationItem

ChoiceItem = tuple[int, GenerationItem]
"""Index of the answer, and the item."""


async def side_by_side(answers: Sequence[AsyncGenerator[GenerationItem, None]]) -> AsyncGenerator[ChoiceItem, None]:
    """Consume answers concurrently, yielding each item on arrival with its answer's index.

    Raises the first failure of any answer. A failure or an early exit cancels all answers.
    """
    if len(answers) == 1:
        async with contextlib.aclosing(answers[0]) as items:
            async for item in items:
                yield 0, item
        return
    arrivals: asyncio.Queue[ChoiceItem | asyncio.Task[None]] = asyncio.Queue()
    tasks = [asyncio.create_task(_follow(index, items, arrivals)) for index, items in enumerate(answers)]
    for task in tasks:
        task.add_done_callback(arrivals.put_nowait)
    under_way = len(tasks)
    try:
        while under_way:
            arrival = await arrivals.get()
            if isinstance(arrival, asyncio.Task):
                arrival.result()
                under_way -= 1
            else:
                yield arrival
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(
    index: int,
    answer: AsyncGenerator[GenerationItem, None],
    arrivals: "asyncio.Queue[ChoiceItem | asyncio.Task[None]]",
) -> None:
    async with contextlib.aclosing(answer) as items:
        async for item in items:
            arrivals.put_nowait((index, item))


async def collected(items: AsyncGenerator[ChoiceItem, None]) -> list[ChoiceItem]:
    """Consume all answers; return their items."""
    return [each async for each in items]
