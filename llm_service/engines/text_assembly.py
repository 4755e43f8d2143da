"""Incremental detokenization with stop strings."""

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"


class TextAssembler:
    """Decodes a growing list of token ids into text, without ever splitting a character.

    Tokens of byte-level vocabularies may hold part of a character, and what a token looks like can
    depend on the one before it; so a window of tokens is decoded again until it ends on a whole
    character (the method of Hugging Face's text-generation-inference). Text that could be the
    beginning of a stop string is held back until it is clear that it is not.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], stop: Sequence[str] = (), *, incremental: bool = True
    ) -> None:
        self._decode = decode
        self._stop = tuple(text for text in stop if text)
        # Without a reader and without stop strings, decoding can wait for the end.
        self._incremental = incremental or bool(self._stop)
        self._ids: list[int] = []
        self._window_start = 0
        self._window_read = 0
        self._held = ""
        self._emitted: list[str] = []
        self.stopped = False
        """Whether a stop string was met; nothing is emitted after it."""

    @property
    def token_count(self) -> int:
        """Tokens pushed so far."""
        return len(self._ids)

    @property
    def token_ids(self) -> list[int]:
        """The tokens pushed so far, in order."""
        return self._ids

    @property
    def text(self) -> str:
        """What has been emitted so far."""
        return "".join(self._emitted)

    def push(self, token_ids: Sequence[int]) -> str:
        """Add tokens; return the text that is now certain (often empty)."""
        self.add(token_ids)
        window = self.window()
        return self.read(*(self._decode(ids) for ids in window)) if window else ""

    def add(self, token_ids: Sequence[int]) -> None:
        """Add tokens whose text is read later: ``window`` says what to decode, ``read`` takes it.

        For engines that decode the windows of all their requests in one call.
        """
        self._ids.extend(token_ids)

    def window(self) -> tuple[list[int], list[int]] | None:
        """Return the tokens whose text is known and the same with the new ones, both to be decoded."""
        if self.stopped or not self._incremental or self._window_read == len(self._ids):
            return None
        return self._ids[self._window_start : self._window_read], self._ids[self._window_start :]

    def read(self, known: str, extended: str) -> str:
        """Take the decoded ``window``; return the text that is now certain."""
        if extended.endswith(REPLACEMENT) or len(extended) <= len(known):
            return ""
        self._window_start, self._window_read = self._window_read, len(self._ids)
        return self._emit(extended[len(known) :], final=False)

    def finish(self) -> str:
        """Return what was held back; call once, at the end."""
        if self.stopped:
            return ""
        known = self._decode(self._ids[self._window_start : self._window_read])
        extended = self._decode(self._ids[self._window_start :])
        # A budget can end inside a character, which is then dropped.
        return self._emit(extended[len(known) :].rstrip(REPLACEMENT), final=True)

    def _emit(self, fresh: str, *, final: bool) -> str:
        pending = self._held + fresh
        cut = min((at for at in (pending.find(stop) for stop in self._stop) if at >= 0), default=-1)
        if cut >= 0:
            self.stopped = True
            pending, self._held = pending[:cut], ""
        elif final:
            self._held = ""
        else:
            held = self._possible_stop_length(pending)
            pending, self._held = pending[: len(pending) - held], pending[len(pending) - held :]
        if pending:
            self._emitted.append(pending)
        return pending

    def _possible_stop_length(self, text: str) -> int:
        longest = max((len(stop) for stop in self._stop), default=0) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
