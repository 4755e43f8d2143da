"""How long loading a dictionary takes: new, with and without vectors, again unchanged, again with a hundredth changed.

    python dev.py bench ingestion [-- --quick | --documents N]

Runs the ingest command as a user does, on a made-up dictionary of that many documents, into a fresh embedded
Postgres, with MiniLM behind the real LLM service for the vectors. Times are of the whole command, its own
start included. At the end all vectors are said to be of another model, and replaced; the service remembers
them, so that this shows what storing them takes. The last line on standard output is one JSON object; the
exit status tells whether the measuring worked, not whether the target is reached.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from adapters.postgres.embedded_postgres import EmbeddedPostgres
from bench.data.invented_dictionary import InventedDictionary
from bench.harness import study
from bench.harness.http import MeasuringFailed
from bench.harness.services import ROOT, embedding_service
from bench.harness.study import Figure
from services.library.formats import read_records

DOCUMENTS, QUICK_DOCUMENTS = 10_000, 1_000
DOCUMENTS_AN_ENTRY = 2.1
CHANGED_SHARE = 0.01
TARGET_S_A_DOCUMENT = 60 / 10_000
NOBODY = "http://127.0.0.1:9"
_COUNTS = re.compile(r"(\d+) new, (\d+) changed, (\d+) unchanged")
_VECTORS = re.compile(r"vectors: (\d+) made, (\d+) missing")


@dataclass(frozen=True)
class Load:
    """One run of the command."""

    seconds: float
    new: int
    changed: int
    unchanged: int
    vectors: int

    def summary(self, documents: int) -> dict[str, object]:
        """Return it for the tables and the JSON."""
        return {
            "seconds": round(self.seconds, 2),
            "documents_per_s": round(documents / self.seconds),
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "vectors": self.vectors,
        }


def main() -> int:
    """Run the benchmark."""
    parser = study.parser(__doc__ or "", 1)
    parser.add_argument("--documents", type=int, default=None, metavar="N", help=f"default: {DOCUMENTS:,}")
    options = parser.parse_args()
    return study.main("ingestion", options, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> study.Report:
    wanted = options.documents or (QUICK_DOCUMENTS if options.quick else DOCUMENTS)
    records, documents = _dictionary(wanted)
    with _postgres() as server, embedding_service() as service:
        service.wait_until_ready()
        url = f"http://127.0.0.1:{service.port}"
        file = server.folder / "dictionary.json"
        file.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
        loads = {
            "words only": _load(server.database("words"), file),
            "with vectors": _load(server.database("all"), file, url),
            "again, unchanged": _load(server.database("all"), file, url),
        }
        changed = _change(records, round(CHANGED_SHARE * documents))
        file.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
        loads["again, 1% changed"] = _load(server.database("all"), file, url)
        server.forget_model("all")
        loads["another model"] = _load(server.database("all"), file, url)
    _check(loads, documents, changed)
    summaries = {name: load.summary(documents) for name, load in loads.items()}
    study.print_table(f"{documents:,} documents of {len(records):,} entries", summaries)
    limit = round(TARGET_S_A_DOCUMENT * documents, 1)
    figures = [Figure(f"{documents:,} documents with vectors", loads["with vectors"].seconds, "s", "<=", limit)]
    return study.Report(figures, {"documents": documents, "entries": len(records), "loads": summaries})


def _dictionary(wanted: int) -> tuple[list[dict[str, Any]], int]:
    """Return entries that make about as many documents as wanted, and how many they make."""
    every = list(InventedDictionary(round(wanted / DOCUMENTS_AN_ENTRY) + 200).records())
    low, high = 0, len(every)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if len(read_records(every[:middle]).documents) < wanted else (low, middle)
    return every[:low], len(read_records(every[:low]).documents)


def _change(records: Sequence[dict[str, Any]], count: int) -> int:
    """Correct the gloss of so many entries, which changes a document each; return how many."""
    chosen = records[:: max(1, len(records) // count)][:count]
    for record in chosen:
        record["gloss_bora"] += "ne"
    return len(chosen)


class Server:
    """An embedded Postgres with a fresh database for each purpose."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self.folder = folder
        self._made: set[str] = set()

    def database(self, name: str) -> str:
        """Return the connection string of a database, made when first asked for."""
        if name not in self._made:
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE bench_{name}".encode())
            self._made.add(name)
        return make_conninfo(self._url, dbname=f"bench_{name}")

    def forget_model(self, name: str) -> None:
        """Have all vectors be those of another model."""
        with psycopg.connect(self.database(name), autocommit=True) as connection:
            connection.execute("UPDATE rag_documents SET embedding_fingerprint = 'another model'")


@contextmanager
def _postgres() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="bench-ingestion-"))
    postgres = EmbeddedPostgres(folder)
    try:
        yield Server(asyncio.run(postgres.uri()), folder)
    finally:
        asyncio.run(postgres.stop())
        shutil.rmtree(folder, ignore_errors=True)


def _load(database: str, file: Path, llm_service: str | None = None) -> Load:
    study.note(f"loading{'' if llm_service else ', words only'}")
    command = [sys.executable, str(ROOT / "backend" / "scripts" / "ingest.py"), str(file)]
    environment = {
        **os.environ,
        "ENV_FILES": "none",
        "DATABASE_URL": database,
        "LLM_SERVICE_URL": llm_service or NOBODY,
        "PYTHONIOENCODING": "utf-8",
    }
    started = time.perf_counter()
    done = subprocess.run(
        [*command, *([] if llm_service else ["--no-embed"])],
        env=environment, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    counts, vectors = _COUNTS.search(done.stdout), _VECTORS.search(done.stdout)
    if done.returncode != 0 or counts is None or (llm_service and (vectors is None or vectors[2] != "0")):
        raise MeasuringFailed(f"the ingest command failed: {done.stdout}{done.stderr}")
    new, changed, unchanged = map(int, counts.groups())
    return Load(seconds, new, changed, unchanged, vectors=int(vectors[1]) if vectors else 0)


def _check(loads: Mapping[str, Load], documents: int, changed: int) -> None:
    """See that each load did what it is measured for."""
    expected = {
        "words only": (documents, 0, 0, 0),
        "with vectors": (documents, 0, 0, documents),
        "again, unchanged": (0, 0, documents, 0),
        "again, 1% changed": (0, changed, documents - changed, changed),
        "another model": (0, 0, documents, documents),
    }
    for name, load in loads.items():
        did = (load.new, load.changed, load.unchanged, load.vectors)
        if did != expected[name]:
            raise MeasuringFailed(f"{name}: {did} (new, changed, unchanged, vectors), expected {expected[name]}")


if __name__ == "__main__":
    sys.exit(main())
