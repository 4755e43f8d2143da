"""Prompts that call for long answers, and lines like a dictionary's. All made up; none comes twice in a run."""

import itertools
import random
from collections.abc import Iterator, Sequence

TEMPERATURE, TOP_P = 0.7, 0.95
TEXTS_A_REQUEST = 32

_WHO = ("a fisherman", "an old teacher", "two sisters", "a young painter", "a lighthouse keeper", "a river pilot")
_WHERE = ("in a village by the river", "on a small island", "in the mountains", "at the edge of a great forest")
_WHAT = (
    "learns to build a boat", "looks for a lost song", "keeps a garden through the dry season",
    "teaches children to count the stars", "repairs an old radio", "writes letters to a friend far away",
    "finds a map in a wooden box", "cooks for the whole village", "follows the birds to the lake",
)  # fmt: skip
_LEMMAS = (
    "canoa", "remo", "lluvia", "sendero", "hoja", "corteza", "semilla", "fogón", "ceniza", "hamaca", "cesto", "flecha",
    "puente", "orilla", "laguna", "tormenta", "raíz", "espina", "miel", "harina", "pescador", "cazador", "tejedora",
    "abuela", "vecino", "madrugada", "sombra", "huella", "nido", "colmena", "escama", "pluma", "machete", "tambor",
)  # fmt: skip
_WORD_CLASSES = ("sust. masc.", "sust. fem.", "verbo intr.", "verbo trans.", "adj.", "adv. de lugar", "expresión")
_SENSES = (
    "lo que se lleva al hombro en los viajes", "objeto de madera blanda", "lo que crece cerca del agua",
    "acción de volver a casa", "parte de una planta que sirve de remedio", "recipiente pequeño", "cosa que brilla",
    "quien conoce los caminos del río", "ruido que hace el viento entre las ramas", "señal que dejan los animales",
    "comida que se reparte en las fiestas", "herramienta para abrir la tierra",
)  # fmt: skip
_EXAMPLES = ("",) * 7 + ("Ayer lo vimos.", "Mi hermano guardó uno.", "¿Dónde lo dejaste?", "Es grande y pesado.")


def stories() -> Iterator[str]:
    """Endless prompts of about 60 tokens, each with a number of its own in front."""
    every = itertools.cycle(itertools.product(_WHAT, _WHERE, _WHO))
    for number, (what, where, who) in enumerate(every, start=1001):
        yield (
            f"{number}. Write the next chapter of a long story about {who} {where} who {what}. Use at least twelve "
            "paragraphs. Describe the weather, the people, what they eat and what they say to each other, and do not "
            "come to an end soon."
        )


def long_text(tokens: int, seed: int) -> str:
    """Dictionary lines of about ``tokens`` tokens for the embedded model; the beginning depends on the seed."""
    return f"List {seed}.\n" + "\n".join(dictionary_lines(max(1, tokens // 31), seed))


def dictionary_lines(count: int, seed: int) -> list[str]:
    """Spanish lines of about 24 tokens for MiniLM, of uneven length; other seeds give other lines."""
    rng = random.Random(seed)
    lines = []
    for number in range(seed * count, (seed + 1) * count):
        senses = rng.sample(_SENSES, rng.choice((0, 1, 1, 1, 1, 2)))
        parts = (f"{rng.choice(_LEMMAS)} {number}", rng.choice(_WORD_CLASSES), "; ".join(senses))
        lines.append(" ".join(part for part in (*parts, rng.choice(_EXAMPLES)) if part))
    return lines


def embedding_bodies(texts: Sequence[str]) -> list[dict[str, object]]:
    """``/api/llm/embed`` bodies of 32 texts each."""
    return [{"texts": list(texts[at : at + TEXTS_A_REQUEST])} for at in range(0, len(texts), TEXTS_A_REQUEST)]
