"""Prompts as retrieval makes them, of a given number of tokens: rules, documents, and a question at the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.wire import NO_STORE, Call, Caller
from bench.workload import dictionary_lines

GENERATE = "/api/llm/generate"
SAMPLES = 5
_RULES = (
    "You are case {number}. Answer the question of the user in one short sentence. Use only the entries that are "
    "given before the question, and say so when they do not tell."
)
_QUESTIONS = (
    "What is carried on the shoulder?",
    "Which of these entries grow near the water?",
    "What is the word for a small vessel, and where in the list does it stand?",
    "Which entry speaks of the wind?",
)


@dataclass(frozen=True)
class LongPrompt:
    """Rules with a number of their own and documents that no other prompt has."""

    number: int
    documents: Sequence[str]

    def call(self, question: int, max_new_tokens: int, *, stream: bool = True) -> Call:
        """Ask the question of this number about the documents."""
        entries = "\n".join(self.documents)
        asked = f"Dictionary entries:\n{entries}\n\nQuestion: {_QUESTIONS[question % len(_QUESTIONS)]}"
        messages = [
            {"role": "system", "content": _RULES.format(number=self.number)},
            {"role": "user", "content": asked},
        ]
        body = {"messages": messages, "max_new_tokens": max_new_tokens, "temperature": 0.7, "stream": stream}
        return Call(GENERATE, body, NO_STORE)


class LongPrompts:
    """Makes prompts of about so many tokens, as the service counts them."""

    def __init__(self, port: int, tokens: int) -> None:
        with Caller(port) as caller:
            few, many = (self._count(caller, lines) for lines in (5, 45))
            per_line = (many - few) / 40
            guess = 45 + round((tokens - many) / per_line)
            self._lines = guess + round((tokens - self._count(caller, guess)) / per_line)
        self._next = 0

    def new(self) -> LongPrompt:
        """Return a prompt whose beginning no prompt had before."""
        self._next += 1
        return LongPrompt(1000 + self._next, dictionary_lines(self._lines, seed=1000 + self._next))

    def _count(self, caller: Caller, lines: int) -> int:
        """Return the mean of a few prompts' tokens: lines are of uneven length."""
        prompts = [LongPrompt(number, dictionary_lines(lines, seed=number)) for number in range(900, 900 + SAMPLES)]
        answers = [caller.call(prompt.call(0, max_new_tokens=1, stream=False).encoded()) for prompt in prompts]
        return round(sum(int(answer.json()["usage"]["prompt_tokens"]) for answer in answers) / SAMPLES)
