"""Conversations as the backend has them with the language model, about words of its sample lexicon.

Runs in a process of its own, with the backend's modules: ``as_json`` prints what ``conversations`` makes.
"""

# environment: backend

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.base import ChatMessage, Direction, ParsedQuery, SearchHit
from services.entries import basis_of
from services.prompts import build_messages

LEXICON = Path(__file__).resolve().parent.parent / "backend" / "data" / "sample_lexicon.json"
OTHER_HITS = 3
_FRAMES: dict[Direction, Sequence[str]] = {
    "es_bora": ("¿Cómo se dice {} en bora?", "Quiero saber cómo se dice {} en bora"),
    "bora_es": ("¿Qué significa {}?", "¿Qué quiere decir {} en español?"),
}


def as_json(count: int) -> None:
    """Print the first conversations as one line of JSON."""
    print(json.dumps(list(itertools.islice(conversations(), count))))


def conversations() -> Iterator[list[ChatMessage]]:
    """Yield what the backend sends: the entry that was asked for, and some that were found beside it."""
    pairs = [(entry["lemma"], entry["gloss_bora"]) for entry in json.loads(LEXICON.read_text(encoding="utf-8"))]
    rng = random.Random(5)
    for turn in range(len(_FRAMES["es_bora"])):
        for direction, frames in _FRAMES.items():
            for spanish, bora in pairs:
                asked = spanish if direction == "es_bora" else bora
                hits = [_hit(spanish, bora, direction, 1.0)]
                hits += [_hit(*other, direction, 0.4) for other in rng.sample(pairs, OTHER_HITS) if other[0] != spanish]
                question = frames[turn].format(asked)
                basis = basis_of(ParsedQuery(question, asked, (asked,), direction), hits)
                yield build_messages(question, basis)


def _hit(spanish: str, bora: str, direction: Direction, score: float) -> SearchHit:
    lemma, gloss = (spanish, bora) if direction == "es_bora" else (bora, spanish)
    metadata = {"lemma": lemma, "gloss": gloss, "direction": direction}
    return SearchHit(lemma, "dictionary", f"{lemma}: {gloss}", score, ("lemma",), metadata)
