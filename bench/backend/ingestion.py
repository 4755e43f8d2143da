"""How long loading a dictionary takes: new, with and without vectors, again unchanged, again with a hundredth changed.

    python dev.py bench ingestion [-- --quick | --documents N]

Runs the ingest command as a user does, on a made-up dictionary of about that many documents, into a fresh embedded
Postgres, with MiniLM behind the real LLM service for the vectors. Times are of the whole command, its own start
included. At the end all vectors are said to be of another model, and replaced; the service remembers them, so that
this shows what storing them takes.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from bench.backend.parts import embedded_postgres
from bench.data.invented_dictionary import InventedDictionary
from bench.harness import study
from bench.harness.http import MeasuringFailed
from bench.harness.services import ROOT, embedding_service
from bench.harness.study import Figure
from devtools.commands.testing import environment_for_tests
from services.library.formats import read_records

DOCUMENTS, QUICK_DOCUMENTS = 10_000, 1_000
DOCUMENTS_AN_ENTRY = 2.1
CHANGED_SHARE = 0.01
TARGET_S_A_DOCUMENT = 60 / 10_000
NOBODY = "http://127.0.0.1:9"
_COUNTS = re.compile(r"(\d+) new, (\d+) changed, (\d+) unchanged")
_VECTORS = re.compile(r"vectors: (\d+) made, (\d+) missing")


class Load(NamedTuple):
    """One run of the command."""

    seconds: float
    new: int
    changed: int
    unchanged: int
    vectors: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--documents", type=int, default=None, metavar="N", help=f"default: {DOCUMENTS:,}")


async def measure(options: argparse.Namespace) -> study.Report:
    """Load a made-up dictionary again and again."""
    wanted = options.documents or (QUICK_DOCUMENTS if options.quick else DOCUMENTS)
    records = list(InventedDictionary(round(wanted / DOCUMENTS_AN_ENTRY)).records())
    documents = len(read_records(records).documents)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, embedding_service() as service:
        async with embedded_postgres() as postgres:
            loads = _loads(records, documents, await postgres.uri(), f"http://127.0.0.1:{service.port}", Path(folder))
    rows = {name: load._asdict() for name, load in loads.items()}
    study.print_table(f"{documents:,} documents of {len(records):,} entries", rows)
    limit = round(TARGET_S_A_DOCUMENT * documents, 1)
    figures = [Figure(f"{documents:,} documents with vectors", loads["with vectors"].seconds, "s", "<=", limit)]
    return study.Report(figures, {"documents": documents, "entries": len(records), "loads": rows})


def _loads(
    records: Sequence[dict[str, Any]], documents: int, postgres: str, llm_service: str, folder: Path
) -> dict[str, Load]:
    words, whole = (_new_database(postgres, name) for name in ("words", "whole"))
    file = folder / "dictionary.json"
    file.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    loads = {
        "words only": _load(words, file),
        "with vectors": _load(whole, file, llm_service),
        "again, unchanged": _load(whole, file, llm_service),
    }
    changed = _change(records, round(CHANGED_SHARE * documents))
    file.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    loads["again, 1% changed"] = _load(whole, file, llm_service)
    with psycopg.connect(whole, autocommit=True) as connection:
        connection.execute("UPDATE rag_documents SET embedding_fingerprint = 'another model'")
    loads["another model"] = _load(whole, file, llm_service)
    _check(loads, documents, changed)
    return loads


def _change(records: Sequence[dict[str, Any]], count: int) -> int:
    """Correct the gloss of up to ``count`` entries, which changes one document each; return how many."""
    chosen = records[:: max(1, len(records) // count)][:count]
    for record in chosen:
        record["gloss_bora"] += "ne"
    return len(chosen)


def _new_database(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_conninfo(url, dbname=name)


def _load(database: str, file: Path, llm_service: str | None = None) -> Load:
    study.note(f"loading{'' if llm_service else ', words only'}")
    command: list[str | Path] = [sys.executable, ROOT / "backend" / "scripts" / "ingest.py", file]
    variables = {"DATABASE_URL": database, "LLM_SERVICE_URL": llm_service or NOBODY}
    started = time.perf_counter()
    done = subprocess.run(
        [*command, *([] if llm_service else ["--no-embed"])],
        env=environment_for_tests() | variables, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    counts, vectors = _COUNTS.search(done.stdout), _VECTORS.search(done.stdout)
    if done.returncode != 0 or counts is None or (llm_service and (vectors is None or vectors[2] != "0")):
        raise MeasuringFailed(f"the ingest command failed: {done.stdout}{done.stderr}")
    new, changed, unchanged = map(int, counts.groups())
    return Load(round(seconds, 2), new, changed, unchanged, int(vectors[1]) if vectors else 0)


def _check(loads: Mapping[str, Load], documents: int, changed: int) -> None:
    """See that each load did what it is measured for."""
    expected = {
        "words only": (documents, 0, 0, 0),
        "with vectors": (documents, 0, 0, documents),
        "again, unchanged": (0, 0, documents, 0),
        "again, 1% changed": (0, changed, documents - changed, changed),
        "another model": (0, 0, documents, documents),
    }
    for name, (_, *did) in loads.items():
        if tuple(did) != expected[name]:
            raise MeasuringFailed(f"{name}: {did} (new, changed, unchanged, vectors), expected {expected[name]}")
