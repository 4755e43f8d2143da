"""Files loaded through the API: what would change, what does, and what holds when it breaks off."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.library import uploads
from services.library.formats import read_content
from services.library.ingestion import Progress
from services.library.uploads import LibraryBusy, Uploads
from tests.backend_process import NOBODY
from tests.backend_server import ready_backend
from tests.library.ingest_command import count, ingest
from tests.logged_backend import logged_backend
from tests.routes.test_rag_api import events

TABLE = "lema,gloss_bora,pos\nzorfano,tsubune,adj.\n,vacío,\nlinterna,tsubuco,f.\n".encode()
CHANGED = b"lema,gloss_bora,pos\nzorfano,tsubunee,adj.\n"


@pytest.fixture(scope="module")
def backend(shared_database: str) -> Iterator[httpx.Client]:
    with ready_backend(database_url=shared_database, llm_service_url=NOBODY, upload_max_bytes=100_000) as client:
        yield client


def upload(client: httpx.Client, content: bytes, name: str = "palabras.csv", **options: Any) -> httpx.Response:
    parameters = {"name": name, **{key: str(value).lower() for key, value in options.items()}}
    return client.post("/api/rag/uploads", params=parameters, content=content)


def sources(client: httpx.Client) -> dict[str, Any]:
    return {each["source"]: each for each in client.get("/api/rag/sources").json()["sources"]}


def counts(report: Any) -> list[int]:
    return [report[name] for name in ("inserted", "updated", "unchanged", "refused", "gone", "removed")]


def test_a_file_is_looked_at_loaded_changed_and_removed(
    backend: httpx.Client, shared_database: str, tmp_path: Path
) -> None:
    looked = upload(backend, TABLE, dry_run=True).json()
    assert counts(looked) == [2, 0, 0, 1, 0, 0]
    assert looked["refusals"] == [{"unit": "line", "at": "3", "reason": "lemma: empty"}]
    assert "palabras.csv" not in sources(backend)

    *progress, report, done = events(upload(backend, TABLE))
    assert (progress[0], progress[-1], done) == ({"done": 0, "total": 2}, {"done": 2, "total": 2}, "[DONE]")
    assert counts(report) == [2, 0, 0, 1, 0, 0]
    answer = backend.post("/api/rag/query", json={"query": "zorfano"}).json()
    assert "tsubune" in answer["answer"]
    loaded = sources(backend)["palabras.csv"]
    assert (loaded["documents"], loaded["from_file"], loaded["kinds"]) == (2, 2, {"dictionary": 2})

    assert counts(upload(backend, TABLE, dry_run=True).json()) == [0, 0, 2, 1, 0, 0]
    assert counts(upload(backend, CHANGED, dry_run=True).json()) == [0, 1, 0, 0, 1, 0]
    assert counts(events(upload(backend, CHANGED, prune=True))[-2]) == [0, 1, 0, 0, 1, 1]
    # The same reader and ids as the command's.
    (tmp_path / "palabras.csv").write_bytes(TABLE)
    named = ("--no-embed", "--source", "palabras.csv")
    assert "1 new, 1 changed, 0 unchanged" in ingest(shared_database, *named, tmp_path / "palabras.csv").stdout

    assert counts(upload(backend, TABLE, dry_run=True, source="otra").json()) == [2, 0, 0, 1, 0, 0]
    by_hand = {"id": "mano", "kind": "text", "content": "algo", "metadata": {"source": "palabras.csv"}}
    assert backend.post("/api/rag/documents", json={"documents": [by_hand]}).status_code == 200
    deleted = backend.delete("/api/rag/sources", params={"name": "palabras.csv"})
    assert deleted.json() == {"source": "palabras.csv", "deleted": 2}
    left = sources(backend)["palabras.csv"]
    assert (left["documents"], left["from_file"], left["kinds"]) == (1, 0, {"text": 1})
    backend.delete("/api/rag/documents/mano")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.exe", b"MZ\x00", "x.exe: "),
        ("x.json", b"[{]", "line 1"),
        ("x.pdf", b"no pdf", "does not match the ending"),
        ("../x.csv", TABLE, "name: "),
        ("a\nb.csv", TABLE, "name: "),
        (" ", TABLE, "name: "),
        ("x.csv", b"", "body: the file is empty"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_cannot_be_read_is_refused_with_the_reason(
    backend: httpx.Client, name: str, content: bytes, reason: str, dry_run: bool
) -> None:
    before = sources(backend)
    answer = upload(backend, content, name, dry_run=dry_run)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "invalid_request")
    assert reason in answer.json()["error"]["message"]
    assert sources(backend) == before


def test_a_file_has_a_size_limit_of_its_own(backend: httpx.Client) -> None:
    assert upload(backend, b"x" * 100_001, "x.txt").status_code == 413
    assert upload(backend, b"Una frase. " * 8_000, "x.txt", dry_run=True).status_code == 200


def test_what_is_read_while_a_file_is_loaded_waits_for_nothing_and_another_file_is_refused(
    backend: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        reached.set()
        assert go_on.wait(60)
        return read_content(*arguments, **options)

    monkeypatch.setattr(uploads, "read_content", slow)
    loads: list[httpx.Response] = []
    loading = threading.Thread(target=lambda: loads.append(upload(backend, TABLE, "lenta.csv")))
    loading.start()
    try:
        assert reached.wait(60)
        with httpx.Client(base_url=backend.base_url, timeout=60) as other:
            for refused in (
                upload(other, TABLE, "otra.csv"),
                upload(other, TABLE, "otra.csv", dry_run=True),
                other.delete("/api/rag/sources", params={"name": "palabras.csv"}),
            ):
                assert (refused.status_code, refused.json()["error"]["type"]) == (409, "busy")
            assert other.post("/api/rag/query", json={"query": "perro"}).status_code == 200
    finally:
        go_on.set()
        loading.join(60)
    assert events(loads[0])[-1] == "[DONE]"
    backend.delete("/api/rag/sources", params={"name": "lenta.csv"})
    # Free again, also after a failure.
    assert upload(backend, b"[{]", "x.json").status_code == 422
    assert upload(backend, TABLE, dry_run=True).status_code == 200


@pytest.mark.anyio
async def test_a_load_that_its_reader_leaves_is_over_and_the_next_may_begin() -> None:
    class Ingestor:
        async def ingest_records(self, records: Any) -> Any:
            raise AssertionError("nothing more is stored")

    loader = Uploads(None, Ingestor())  # type: ignore[arg-type]
    parts = loader.load("palabras.csv", TABLE)
    assert await anext(parts) == Progress("store", 0, 2)
    with pytest.raises(LibraryBusy):
        await loader.preview("otra.csv", TABLE)
    await parts.aclose()
    following = loader.load("palabras.csv", TABLE)
    assert await anext(following) == Progress("store", 0, 2)
    await following.aclose()


def test_killed_halfway_whole_records_stay_and_the_same_file_goes_on(database_url: str) -> None:
    entries = [
        {"lemma": f"palabra{n}", "gloss_bora": f"tsubu{n}", "pos": "s.", "examples": [{"bora": f"b{n}", "es": f"e{n}"}]}
        for n in range(1_500)
    ]
    content = json.dumps(entries).encode()
    variables = {"DATABASE_URL": database_url, "LLM_SERVICE_URL": NOBODY, "SAMPLE_LEXICON": "none"}
    with logged_backend(Path(os.devnull), **variables) as backend:
        try:
            with backend.client.stream(
                "POST", "/api/rag/uploads", params={"name": "muchas.json"}, content=content
            ) as load:
                lines = load.iter_lines()
                while not (line := next(lines)).startswith("data: ") or json.loads(line[6:])["done"] == 0:
                    pass
                backend.process.kill()
        except (httpx.RemoteProtocolError, httpx.ReadError):
            pass
        backend.process.wait(60)
    part = count(database_url)
    with logged_backend(Path(os.devnull), **variables) as backend:
        report = events(upload(backend.client, content, "muchas.json"))[-2]
    assert (report["inserted"], report["unchanged"]) == (count(database_url) - part, part)
    assert min(report["inserted"], part) > 0
    # No record was in two pieces.
    assert part % 2 == 0
    assert count(database_url, "metadata ->> 'part' = 'example'") == len(entries)
