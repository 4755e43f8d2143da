"""Find the RAG_TEXT_THRESHOLD that fits your own questions and texts.

    python scripts/fit_threshold.py QUESTIONS.csv

QUESTIONS.csv has the columns ``question`` and ``answered``: yes where the loaded texts hold the answer, no where they
do not; twenty of each at least. The texts must be loaded, and their vectors made. Exit status: 0 found, 1 the database
or the embedder failed, 2 the file cannot be read,
130 interrupted.
"""

import argparse
import asyncio
import csv
import io
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # run as a file: imports are relative to the app's folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.ports.store import StoreUnavailable
from observability.metrics import Metrics
from scripts.opening import open_dsn, open_embedder, open_store
from services.passages.threshold import Fit, fitted, outcome
from services.question_vectors import QuestionEmbedder
from services.text_retrieval import TextRetriever

if TYPE_CHECKING:
    from config.settings import Settings

_YES, _NO = ("yes", "y", "true", "1", "sí", "si", "s", "sim"), ("no", "n", "false", "0", "não", "nao")
_EMBED_TIMEOUT_S = 30.0


class BadQuestions(Exception):
    """The file cannot be read; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="QUESTIONS.csv")
    options = parser.parse_args(arguments)
    try:
        asked = read_questions(options.file)
        # Imported late, so that a wrong file is reported before the configuration is read.
        from config.settings import settings

        scores, fault = asyncio.run(_ask(asked, settings))
    except BadQuestions as error:
        return _fail(f"{options.file}: {error}", 2)
    except StoreUnavailable as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    if fault:
        return _fail(f"no vectors of the questions ({fault}): the LLM service must be running", 1)
    if not any(score for score, _ in scores):
        return _fail("no text is loaded: python dev.py ingest FILE…", 1)
    best = fitted(scores)
    print(f"{sum(has for _, has in scores)} questions with an answer, {sum(not has for _, has in scores)} without")
    print(_line("as configured", outcome(scores, settings.rag_text_threshold)))
    print(_line("best", best))
    print(f"RAG_TEXT_THRESHOLD={best.threshold:g}")
    return 0


def read_questions(path: Path) -> list[tuple[str, bool]]:
    """Return the questions with whether they have an answer. Raises ``BadQuestions``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadQuestions("no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadQuestions("cannot be read; save it as CSV in UTF-8") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    if not {"question", "answered"} <= set(rows.fieldnames or ()):
        raise BadQuestions("the first line must name the columns question and answered")
    asked: list[tuple[str, bool]] = []
    for row in rows:
        question, said = (row["question"] or "").strip(), (row["answered"] or "").strip().lower()
        if not question:
            continue
        if said not in _YES + _NO:
            raise BadQuestions(f"line {rows.line_num}: answered is yes or no, not '{said}'")
        asked.append((question, said in _YES))
    if len({has_answer for _, has_answer in asked}) < 2:
        raise BadQuestions("questions with an answer and questions without are both needed")
    return asked


async def _ask(asked: Sequence[tuple[str, bool]], settings: "Settings") -> tuple[list[tuple[float, bool]], str | None]:
    async with AsyncExitStack() as stack:
        store = await open_store(await open_dsn(settings, stack), settings, stack)
        embedder = QuestionEmbedder(open_embedder(settings, stack), timeout_s=_EMBED_TIMEOUT_S)
        retriever = TextRetriever(store, embedder, 0.0, Metrics())
        scores: list[tuple[float, bool]] = []
        for question, has_answer in asked:
            found = await retriever.retrieve(question, settings.rag_top_k)
            if found.fault:
                return [], found.fault
            scores.append((found.relevance, has_answer))
        return scores, None


def _line(name: str, fit: Fit) -> str:
    answered, unknown = f"{fit.answered:.0%} of the first answered", f"{fit.unknown:.0%} of the second not known"
    return f"{name}: {fit.threshold:g}, {answered}, {unknown}"


def _fail(message: str, status: int) -> int:
    print(f"fit: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
