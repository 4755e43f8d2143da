"""What is asked of any server that speaks OpenAI's dialect: bursts of stories, long prompts, a class's day."""

import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.data.classroom import class_day
from bench.data.stories import long_text
from bench.data.stories import stories as new_stories
from bench.harness.http import CHAT, NO_STORE, Call, ask, call_all
from bench.harness.study import percentile

Messages = list[dict[str, str]]
DAY_QUESTIONS, DAY_CALLERS, DAY_TOKENS = 40, 8, 64


@dataclass
class Target:
    """A server that speaks ``/v1/chat/completions``. Everything is greedy: samplers differ between servers."""

    port: int
    stories: Iterator[str] = field(default_factory=new_stories)
    _seeds: Iterator[int] = field(default_factory=lambda: iter(range(random.randrange(10**6) * 1000, 10**12)))

    def __post_init__(self) -> None:
        self.model = str(ask(self.port, Call("/v1/models")).json()["data"][0]["id"])

    def chat(self, messages: Messages, tokens: int, *, stream: bool, cached: bool = False) -> Call:
        """A request; only a ``cached`` one may be answered by the response cache."""
        body = {"model": self.model, "messages": messages, "max_tokens": tokens, "temperature": 0, "stream": stream}
        more = {"stream_options": {"include_usage": True}} if stream else {}
        return Call(CHAT, {**body, **more}, {} if cached else NO_STORE)

    def burst(self, callers: int, requests: int, tokens: int = 64, *, stream: bool = True) -> dict[str, float]:
        """Tokens a second of new stories, ``callers`` at a time."""
        calls = [
            self.chat([{"role": "user", "content": next(self.stories)}], tokens, stream=stream) for _ in range(requests)
        ]
        answers, seconds = call_all(self.port, calls, callers)
        return {"tok_s": sum(answer.tokens() for answer in answers) / seconds}

    def prompts(self, tokens: int, count: int) -> dict[str, float]:
        """Prompt tokens a second, and seconds to the first token, of new prompts one at a time."""
        answers = [ask(self.port, self.long_prompt(tokens)) for _ in range(count)]
        first = [answer.first_s for answer in answers]
        read = [int(answer.json()["usage"]["prompt_tokens"]) for answer in answers]
        rate = statistics.median(number / seconds for number, seconds in zip(read, first, strict=True))
        return {"prompt_tok_s": rate, "first_s": statistics.median(first)}

    def long_prompt(self, tokens: int, new_tokens: int = 2) -> Call:
        """A prompt that begins like no other."""
        text = f"{long_text(tokens, next(self._seeds))}\nWhich of these grow near the water?"
        return self.chat([{"role": "user", "content": text}], new_tokens, stream=True)

    def class_day(self, *, repeated: bool) -> dict[str, float]:
        """Forty questions under long shared rules that no earlier day had, eight at once, streamed."""
        number = next(self._seeds)
        calls = []
        for system, question in class_day(DAY_QUESTIONS, repeated=repeated):
            system["content"] = f"Class {number}. {system['content']}"
            calls.append(self.chat([system, question], DAY_TOKENS, stream=True, cached=True))
        answers, seconds = call_all(self.port, calls, DAY_CALLERS)
        first = [answer.first_s for answer in answers]
        return {
            "questions_s": len(calls) / seconds,
            "first_p50_s": statistics.median(first),
            "first_p95_s": percentile(first, 0.95),
        }
