"""Several answers to one request, generated side by side."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

from services.results import GenerationItem

ChoiceItem = tuple[int, GenerationItem]
"""Which answer something belongs to, and what it is."""


async def side_by_side(answers: Sequence[AsyncGenerator[GenerationItem, None]]) -> AsyncGenerator[ChoiceItem, None]:
    """Follow answers together, yielding what comes as it comes, with the answer's index.

    The first failure of any of them is raised. Leaving early, as a failure does, cancels all.
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
