"""Conversations whose answers repeat their sources, and such whose answers do not."""

import dataclasses
import difflib
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.processes import ROOT, MeasuringFailed
from bench.questions import numbered, questions
from bench.wire import NO_STORE, Call, call_all

GENERATE = "/api/llm/generate"
Message = dict[str, str]
_SENTENCES = (
    "The old ferry left the harbour at dawn with eleven passengers and a crate of oranges.",
    "The captain counted the lights along the shore and wrote each of them in her notebook.",
    "By noon the wind had turned, and everybody moved to the lee side of the deck.",
    "The cook handed out bread, cheese and hot coffee in small blue cups.",
    "A boy from the islands pointed at a row of white houses under the cliff.",
    "In the evening the river carried down branches, leaves and a whole tree.",
    "The children of the village waited on the bank with ropes and lanterns.",
    "Last year they built a bridge from it, and this year they plan a tower.",
    "From the top of the hill one can see the lake, the mill and the road to the north.",
    "The teacher keeps a jar of coloured stones on the table beside the window.",
    "Every stone stands for a song that the class has learned by heart.",
    "The baker opens his door at five and closes it when the last loaf is sold.",
    "On market days two dogs sleep in front of his shop and nobody wakes them.",
    "The bridge behind the church is closed until the painters have finished.",
    "A letter from the city arrived on Tuesday, but no one has opened it yet.",
    "The garden behind the station belongs to the woman who repairs the clocks.",
    "She grows beans, pumpkins and a kind of pepper that has no name.",
    "When the train is late she gives the passengers a piece of melon.",
)
# The service tells kinds of requests by their system message: stories have none.
_SYSTEM = "You are a helpful assistant."
_ASK = "Repeat this passage word for word:\n\n{}"
_COPIED_BEFORE = [" ".join(_SENTENCES[index] for index in chosen) for chosen in ((0, 9, 13), (4, 5, 16))]
COPIED = 0.9


@dataclass(frozen=True)
class Workload:
    """A kind of conversation and how it is sampled."""

    name: str
    conversations: Sequence[Sequence[Message]]
    max_new_tokens: int
    temperature: float
    top_p: float

    def call(self, index: int, **changes: object) -> Call:
        """The request with this number; ``changes`` are other fields, or other values of them. Without a
        seed: the service generates those that have one by themselves.
        """
        messages = self.conversations[index % len(self.conversations)]
        how = {"temperature": self.temperature, "top_p": self.top_p, **changes}
        body = {"messages": messages, "max_new_tokens": self.max_new_tokens, **how}
        return Call(GENERATE, body, NO_STORE)


def copying(count: int) -> Workload:
    """Passages to be repeated, after two that have been: that makes a small model copy, mostly."""
    rng = random.Random(11)
    before = [{"role": "system", "content": _SYSTEM}]
    for passage in _COPIED_BEFORE:
        before.append({"role": "user", "content": _ASK.format(passage)})
        before.append({"role": "assistant", "content": passage})
    passages = (" ".join(rng.sample(_SENTENCES, 5)) for _ in range(count))
    conversations = [[*before, {"role": "user", "content": _ASK.format(passage)}] for passage in passages]
    return Workload("copies its source", conversations, 160, 0.0, 1.0)


def that_copies(workload: Workload, port: int) -> Workload:
    """Ask everything once, and keep the conversations whose answers really repeat their source."""
    numbers = range(len(workload.conversations))
    answers, _ = call_all(port, [workload.call(number) for number in numbers], 8)
    texts = [str(answer.json()["answer"]) for answer in answers]
    shares = [copied_share(workload, [number], [text]) for number, text in zip(numbers, texts, strict=True)]
    kept = [workload.conversations[number] for number in numbers if shares[number] >= COPIED]
    if not kept:
        raise MeasuringFailed(f"the model copies none of {len(numbers)} passages")
    return dataclasses.replace(workload, conversations=kept)


def stories(count: int) -> Workload:
    """The beginnings of long answers to short questions, sampled: short enough that few end by themselves."""
    conversations = [[{"role": "user", "content": prompt}] for prompt in numbered(questions(count))]
    return Workload("story", conversations, 64, 0.7, 0.95)


def dictionary(count: int) -> Workload:
    """What the backend asks about its sample lexicon, with its limits and its sampling."""
    # The two apps are never imported into one process; the modules asked for need no packages.
    path = os.pathsep.join((str(ROOT), str(ROOT / "backend")))
    script = f"from bench.dictionary_conversations import as_json; as_json({count})"
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    made = subprocess.run((sys.executable, "-c", script), capture_output=True, check=False, env=environment)
    if made.returncode:
        raise MeasuringFailed(f"the backend's prompts could not be made: {made.stderr.decode()[-500:]}")
    return Workload("dictionary answer", json.loads(made.stdout), 96, 0.35, 0.9)


def copied_share(workload: Workload, indices: Sequence[int], texts: Sequence[str]) -> float:
    """How much of the answers' words is found in the last message in the same order, 0 to 1."""
    found = total = 0
    for index, text in zip(indices, texts, strict=True):
        source = workload.conversations[index % len(workload.conversations)][-1]["content"].split()
        words = text.split()
        blocks = difflib.SequenceMatcher(None, source, words, autojunk=False).get_matching_blocks()
        found += sum(block.size for block in blocks)
        total += len(words)
    return found / max(total, 1)


def indices(asked: "itertools.count[int]", count: int) -> list[int]:
    """Return the next numbers."""
    return list(itertools.islice(asked, count))
