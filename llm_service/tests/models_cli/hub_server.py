"""A model hub on this machine: the few routes that fetching a model needs, faults included.

As on the real one, large files are redirected to another host, which must never see the user's key.
"""

import contextlib
import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE_BYTES = 1024 * 1024
PIECE_BYTES = 256 * 1024


@dataclass
class Repository:
    """A repository's commits (files by path), and its branches and tags."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    licence: str = "apache-2.0"
    base_model: str | None = None


@dataclass
class Fault:
    """What happens to a file's content: it is cut, or held up, ``after`` this many bytes, the first ``times`` times."""

    after: int
    times: int
    hold: bool = False


@dataclass
class Request:
    """A request as it came in."""

    method: str
    path: str
    authorization: str | None
    range: str | None


class HubServer:
    """Serves repositories on a port of its own."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        """Contents by their SHA-256."""
        self.requests: list[Request] = []
        self.faults: dict[str, Fault] = {}
        self.refused_keys: set[str] = set()
        self.released = threading.Event()
        self.holding = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.port}"

    def publish(self, repo: str, files: dict[str, bytes], ref: str = "main", **fields: Any) -> str:
        """Make a commit and move a branch to it; returns the commit."""
        repository = self.repositories.setdefault(repo, Repository())
        for name, value in fields.items():
            setattr(repository, name, value)
        digest = hashlib.sha1(repr((repo, len(repository.commits))).encode())
        for path, content in sorted(files.items()):
            digest.update(path.encode() + content)
        commit = digest.hexdigest()
        repository.commits[commit] = files
        self.blobs |= {_sha256(content): content for content in files.values()}
        repository.refs[ref] = commit
        return commit

    def contents(self, path: str) -> list[Request]:
        """Return the requests for a file's content."""
        return [entry for entry in self.requests if entry.method == "GET" and entry.path.endswith(path)]

    @contextlib.contextmanager
    def running(self) -> Iterator["HubServer"]:
        """Serve for the length of a block."""
        self._thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> HubServer:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        return hub

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """The requests are kept instead."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.hub.requests.append(
            Request(self.command, path, self.headers.get("Authorization"), self.headers.get("Range"))
        )
        if self.headers.get("Authorization", "").removeprefix("Bearer ") in self.hub.refused_keys:
            self._send(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif path.startswith("api/models/"):
            self._describe(path.removeprefix("api/models/"))
        elif "/resolve/" in path:
            self._resolve(*path.split("/resolve/", 1))
        elif path.startswith("cdn/"):
            _, digest, file = path.split("/", 2)
            self._send_content(self.hub.blobs[digest], file)
        else:
            self._send(200, b"hub")

    def _describe(self, path: str) -> None:
        repo, _, rest = path.partition("/revision/")
        found = self._find(repo, rest or "main")
        if found is None:
            return
        repository, commit = found
        files = repository.commits[commit]
        siblings = [
            {"rfilename": name, "size": len(data), "blobId": _sha1(data), **_lfs(data)} for name, data in files.items()
        ]
        body = {
            "id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0,
            "private": False, "gated": "manual" if repository.gated else False,
            "cardData": {"license": repository.licence, "base_model": repository.base_model},
        }  # fmt: skip
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, rest: str) -> None:
        revision, _, path = rest.partition("/")
        found = self._find(repo, revision)
        if found is None:
            return
        repository, commit = found
        if repository.gated and self.headers.get("Authorization") is None:
            self._fail(401, "GatedRepo", f"Access to model {repo} is restricted.")
            return
        content = repository.commits[commit].get(path)
        if content is None:
            self._fail(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_sha1(content)}"'}
        if len(content) < LARGE_BYTES:
            self._send(200, content, headers)
            return
        digest = _sha256(content)
        headers |= {
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"http://localhost:{self.hub.port}/cdn/{digest}/{path}",
        }
        self._send(302, b"", headers)

    def _find(self, repo: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(repo)
        if repository is None:
            self._fail(401, "RepoNotFound", "Repository not found")
            return None
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._fail(404, "RevisionNotFound", "Invalid rev id")
            return None
        return repository, commit

    def _send_content(self, content: bytes, path: str) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if wanted else {}
        rest = content[start:]
        self.send_response(206 if wanted else 200)
        for name, value in {**headers, "Content-Length": str(len(rest))}.items():
            self.send_header(name, value)
        self.end_headers()
        fault = self.hub.faults.get(path)
        if fault is None or fault.times == 0:
            self._write(rest)
            return
        fault.times -= 1
        self._write(rest[: max(0, fault.after - start)])
        if fault.hold:
            self.hub.holding.set()
            self.hub.released.wait(60)
        self.close_connection = True
        self.connection.close()

    def _write(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            for at in range(0, len(content), PIECE_BYTES):
                self.wfile.write(content[at : at + PIECE_BYTES])
            self.wfile.flush()

    def _fail(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@functools.cache
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@functools.cache
def _sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _lfs(content: bytes) -> dict[str, Any]:
    if len(content) < LARGE_BYTES:
        return {}
    return {"lfs": {"sha256": _sha256(content), "size": len(content), "pointerSize": 130}}
