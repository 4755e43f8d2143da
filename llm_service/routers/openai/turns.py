"""Turns that a request does not spell out as messages."""

from dataclasses import dataclass

from schemas.tools import EarlierCall


@dataclass(slots=True)
class WrittenTurn:
    """A turn of a conversation, as ``routers.generation_wire`` reads it."""

    role: str
    text: str | None
    name: str | None = None
    tool_calls: list[EarlierCall] | None = None
    tool_call_id: str | None = None
