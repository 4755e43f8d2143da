"""A slow line to the LLM service, so that an answer can be watched while it is written."""

from __future__ import annotations

import asyncio
import multiprocessing
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from free_ports import free_port

_PIECE = 40
_PAUSE_S = 0.06
_SLOWED = b"/api/llm/generate"


@dataclass
class _Speed:
    slow: bool = False


def forward(port: int, target: int) -> None:
    """Forward connections to a port of this machine; answers of the model trickle, everything else is at once."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        speed = _Speed()
        with closing(writer):
            service_reader, service_writer = await asyncio.open_connection("127.0.0.1", target)
            with closing(service_writer):
                carriers = _carry_requests(reader, service_writer, speed), _carry_answers(service_reader, writer, speed)
                tasks = [asyncio.ensure_future(carrier) for carrier in carriers]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()

    async def serve() -> None:
        server = await asyncio.start_server(connect, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(serve())


async def _carry_requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speed: _Speed) -> None:
    with suppress(OSError):
        while request := await reader.read(65536):
            # A kept connection carries several requests; their heads come whole from an HTTP client.
            if b" HTTP/1.1\r\n" in request:
                speed.slow = _SLOWED in request
            writer.write(request)
            await writer.drain()


async def _carry_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speed: _Speed) -> None:
    with suppress(OSError):
        while answer := await reader.read(65536):
            for start in range(0, len(answer), _PIECE):
                if speed.slow:
                    await asyncio.sleep(_PAUSE_S)
                writer.write(answer[start : start + _PIECE])
                await writer.drain()


@dataclass
class SlowLine:
    """The line, in a process of its own."""

    port: int
    process: BaseProcess

    @classmethod
    def to(cls, target: int) -> SlowLine:
        """Open one; whoever uses it waits for it as for the service itself."""
        port = free_port()
        process = multiprocessing.get_context("spawn").Process(target=forward, args=(port, target), daemon=True)
        process.start()
        return cls(port, process)

    def close(self) -> None:
        self.process.kill()
        self.process.join()
