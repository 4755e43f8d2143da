"""What is sent: prompts that call for long answers, and lines like a dictionary's. All made up here.

Deterministic, and no line or prompt comes twice in a run, so that nothing is answered from a cache
that the other service lacks.
"""

import itertools
import json
import random
from collections.abc import Iterator, Sequence

TEMPERATURE, TOP_P = 0.7, 0.95
TEXTS_PER_REQUEST = 32

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
    "lo que se lleva al hombro en los viajes", "objeto de madera blanda",
    "lo que crece cerca del agua", "acción de volver a casa",
    "parte de una planta que sirve de remedio", "recipiente pequeño", "quien conoce los caminos del río",
    "cosa que brilla", "ruido que hace el viento entre las ramas", "comida que se reparte en las fiestas",
    "herramienta para abrir la tierra", "señal que dejan los animales",
)  # fmt: skip
_EXAMPLES = (
    "", "", "", "", "", "", "", "Ayer lo vimos.", "Mi hermano guardó uno.", "¿Dónde lo dejaste?", "Es grande y pesado.",
    "Se secó con el sol del verano.",
)  # fmt: skip


def generation_bodies(max_new_tokens: int) -> Iterator[bytes]:
    """Endless ``/api/llm/generate`` bodies, each with a prompt of its own."""
    for number, (what, where, who) in enumerate(itertools.cycle(itertools.product(_WHAT, _WHERE, _WHO)), start=1):
        prompt = f"Write chapter {number} of a long story about {who} {where} who {what}. Use at least ten paragraphs."
        yield json.dumps(
            {
                "messages": [{"role": "user", "content": prompt}],
                "max_new_tokens": max_new_tokens,
                "temperature": TEMPERATURE,
                "top_p": TOP_P,
            }
        ).encode()


def dictionary_lines(count: int, seed: int) -> list[str]:
    """Spanish lines of about 24 tokens for MiniLM, of uneven length; other seeds give other lines."""
    rng = random.Random(seed)
    lines = []
    for number in range(seed * count, (seed + 1) * count):
        senses = rng.sample(_SENSES, rng.choice((0, 1, 1, 1, 1, 2)))
        parts = (f"{rng.choice(_LEMMAS)} {number}", rng.choice(_WORD_CLASSES), "; ".join(senses))
        lines.append(" ".join(part for part in (*parts, rng.choice(_EXAMPLES)) if part))
    return lines


def embedding_bodies(texts: Sequence[str]) -> list[bytes]:
    """``/api/llm/embed`` bodies of 32 texts each."""
    starts = range(0, len(texts), TEXTS_PER_REQUEST)
    return [json.dumps({"texts": texts[at : at + TEXTS_PER_REQUEST]}, ensure_ascii=False).encode() for at in starts]
