"""API keys and their file, the Bearer scheme, host names and origins."""

import hashlib
import os
from pathlib import Path

import pytest
from service_kit.keys import KeyRing, bearer_token, check_keys_file, parse_keys
from service_kit.middleware.hosts import TrustedHosts, trusted_names
from starlette.types import Message, Receive, Scope, Send

from service_kit import keys


@pytest.mark.parametrize(
    "header",
    [b"Bearer clave", b"bearer clave", b"BEARER clave", b"Bearer   clave", b"Bearer \t clave", b" Bearer clave \t"],
)
def test_the_scheme_has_any_case_and_blanks_around_the_key_are_ignored(header: bytes) -> None:
    assert bearer_token([header]) == b"clave"


@pytest.mark.parametrize(
    "headers",
    [[], [b""], [b"Bearer"], [b"Bearer "], [b"clave"], [b"Basic clave"], [b"Bearerclave"], 2 * [b"Bearer clave"]],
)
def test_other_headers_present_no_key(headers: list[bytes]) -> None:
    assert bearer_token(headers) is None


@pytest.mark.parametrize("key", ["clave", "contraseña", "ключ", "clave con blancos", "🔑"])
def test_a_key_matches_whatever_its_letters_and_no_other_does(key: str) -> None:
    ring = KeyRing(f" {key} ")
    found = ring.find([f"Bearer {key}".encode()])
    assert found is not None
    assert (found.name, found.scope) == ("default", "admin")
    assert ring.find([f"Bearer {key}x".encode()]) is None
    assert ring.find([f"Bearer {key[:-1]}".encode()]) is None


def test_a_key_matches_in_latin_1_too() -> None:
    assert KeyRing("contraseña").find(["Bearer contraseña".encode("latin-1")]) is not None


def test_a_file_names_keys_with_a_scope_in_plain_or_hashed(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    digest = hashlib.sha256(b"tercera").hexdigest()
    file.write_text(f"# de la escuela\n\nana:ask:primera:con:puntos\nluis:admin:segunda\neva:ask:sha256:{digest}\n")
    ring = KeyRing("única", file)
    found = {
        text: ring.find([f"Bearer {text}".encode()]) for text in ("primera:con:puntos", "segunda", "tercera", "única")
    }
    assert [(key.name, key.scope) for key in found.values() if key] == [
        ("ana", "ask"),
        ("luis", "admin"),
        ("eva", "ask"),
        ("default", "admin"),
    ]
    assert ring.find([f"Bearer sha256:{digest}".encode()]) is None
    assert ring.find([f"Bearer {digest}".encode()]) is None


def test_keys_come_and_go_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RECHECK_S", 0.0)
    file = tmp_path / "keys"
    file.write_text("ana:ask:una\n")
    ring = KeyRing(None, file)

    def valid() -> list[str]:
        return [text for text in ("una", "otra") if ring.find([f"Bearer {text}".encode()])]

    assert valid() == ["una"]
    file.write_text("ana:ask:una\nluis:ask:otra\n")
    assert valid() == ["una", "otra"]
    # Half written, or a slip: the other lines hold.
    file.write_text("ana:ask\nluis:ask:otra\n")
    assert valid() == ["otra"]
    file.unlink()
    assert valid() == []
    assert ring.required
    file.write_text("ana:ask:una\n")
    assert valid() == ["una"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o644, True)])
def test_a_file_that_everybody_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    file = tmp_path / "keys"
    file.write_text("ana:ask:una\n")
    file.chmod(mode)
    KeyRing(None, file)
    assert ("every user" in caplog.text) is warned
    assert "una" not in caplog.text.replace("unalterable", "")


@pytest.mark.parametrize(
    "line", ["ana", "ana:ask", "ana:ask:", "ana:owner:clave", "a b:ask:clave", "ana:ask:sha256:12"]
)
def test_a_line_at_fault_is_named_by_its_number_and_not_shown(tmp_path: Path, line: str) -> None:
    assert parse_keys(f"luis:ask:otra\n{line}")[0][0].name == "luis"
    file = tmp_path / "keys"
    file.write_text(f"luis:ask:otra\n{line}\n")
    with pytest.raises(ValueError, match="line 2") as caught:
        check_keys_file(file)
    assert "clave" not in str(caught.value)


async def status(
    headers: list[tuple[bytes, bytes]],
    *,
    method: str = "GET",
    path: str = "/api",
    names: frozenset[str] = frozenset({"127.0.0.1"}),
    origins: tuple[str, ...] = ("http://localhost:5173",),
) -> int:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append({"status": 200})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    checked = TrustedHosts(app, names=names, origins=origins)
    await checked({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return int(sent[0]["status"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST", "bora.localhost:80", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7:9", ""],
)
async def test_loopback_names_and_addresses_are_served(host: str) -> None:
    assert await status([(b"host", host.encode())]) == 200
    assert await status([]) == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[evil.example]",
        "ñ",
        "a b",
    ],
)
async def test_another_name_is_refused_except_for_probes(host: str) -> None:
    headers = [(b"host", host.encode("latin-1"))]
    assert await status(headers) == 400
    assert await status([(b"host", b"localhost"), *headers]) == 400
    assert await status(headers, path="/livez") == 200


@pytest.mark.anyio
async def test_names_of_the_settings_are_served() -> None:
    names = trusted_names(["bora.example", "*.escuela.example"], "0.0.0.0", has_keys=True)
    for host, expected in {
        "bora.example": 200,
        "BORA.example:8443": 200,
        "a.escuela.example": 200,
        "escuela.example": 400,
        "evil.example": 400,
    }.items():
        assert await status([(b"host", host.encode())], names=names) == expected, host
    assert await status([(b"host", b"evil.example")], names=trusted_names([], "127.0.0.1", has_keys=True)) == 200
    assert await status([(b"host", b"evil.example")], names=trusted_names([], "127.0.0.1", has_keys=False)) == 400


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8000", 200),
        ("http://LOCALHOST:8000", 200),
        ("http://localhost:5173", 200),
        ("http://localhost:9999", 403),
        ("http://evil.example", 403),
        ("https://localhost", 403),
        ("null", 403),
        ("http://[", 403),
        ("file://", 403),
    ],
)
async def test_only_pages_of_this_service_and_of_allowed_origins_write(origin: str, expected: int) -> None:
    headers = [(b"host", b"localhost:8000"), (b"origin", origin.encode())]
    for method in ("POST", "DELETE", "PUT"):
        assert await status(headers, method=method) == expected
    assert await status(headers, method="GET") == 200


@pytest.mark.anyio
async def test_a_page_behind_a_proxy_that_replaces_host_writes() -> None:
    names = trusted_names(["bora.example"], "0.0.0.0", has_keys=True)
    headers = [(b"host", b"10.0.0.7:8000"), (b"origin", b"https://bora.example")]
    assert await status(headers, method="POST", names=names) == 200
    same = [(b"host", b"bora.example"), (b"origin", b"https://bora.example:443")]
    assert await status(same, method="POST", names=frozenset({"bora.example"})) == 200
