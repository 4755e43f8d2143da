"""API keys: one from the settings, any number of named ones from a file that is re-read when it changes."""

import hashlib
import hmac
import logging
import os
import re
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KeyScope = Literal["ask", "admin"]
"""``ask``: questions and answers. ``admin``: everything."""
SINGLE_KEY_NAME = "default"
HASH_PREFIX = "sha256:"
RECHECK_S = 1.0
"""Seconds between two looks at the file."""
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<scope>ask|admin):(?P<key>.+)")
_HASH = re.compile(r"[0-9a-f]{64}")
_Version = tuple[int, int, int]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its text. ``digest`` is the SHA-256 of its UTF-8 bytes."""

    name: str
    scope: KeyScope
    digest: bytes


class KeyRing:
    """The keys of one app.

    Args:
        single: key of the settings, with scope ``admin`` and the name ``default``.
        file: one ``name:scope:key`` a line. Added and removed lines take effect within ``RECHECK_S`` seconds.

    """

    def __init__(self, single: str | None = None, file: Path | None = None) -> None:
        self._single = () if single is None else (ApiKey(SINGLE_KEY_NAME, "admin", _digest(single.strip())),)
        self._file = file
        self._named: tuple[ApiKey, ...] = ()
        self._version: _Version | None = None
        self._checked = -RECHECK_S
        self._reload()

    @property
    def required(self) -> bool:
        """Whether requests need a key; also when the file holds none at the moment."""
        return bool(self._single) or self._file is not None

    def find(self, authorization: Iterable[bytes]) -> ApiKey | None:
        """Return the key that ``Authorization`` headers present. The comparison takes the same time for any key."""
        presented = bearer_token(authorization)
        if presented is None:
            return None
        self._reload()
        # Clients send letters beyond ASCII as UTF-8 or as Latin-1.
        digests = (hashlib.sha256(presented).digest(), _digest(presented.decode("latin-1")))
        found = None
        for key in (*self._named, *self._single):
            for digest in digests:
                if hmac.compare_digest(digest, key.digest):
                    found = key
        return found

    def _reload(self) -> None:
        now = time.monotonic()
        if self._file is None or now - self._checked < RECHECK_S:
            return
        self._checked = now
        try:
            status = self._file.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._version:
                return
            self._named, faults = parse_keys(self._file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            if self._named or self._version is not None:
                logger.error("keys file unreadable: its keys are withdrawn", extra={"detail": type(error).__name__})  # noqa: TRY400
            self._named, self._version = (), None
            return
        self._version = version
        for fault in faults:
            logger.error("keys file: line ignored", extra={"detail": fault})
        logger.info("keys file read", extra={"keys": len(self._named)})
        if os.name == "posix" and status.st_mode & stat.S_IROTH:
            logger.warning("keys file: every user of this machine can read it (chmod 600, or store hashes)")


def bearer_token(authorization: Iterable[bytes]) -> bytes | None:
    """Return the credentials of ``Authorization: Bearer …``: any case, any number of blanks (RFC 9110, 11.4)."""
    headers = list(authorization)
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].strip(b" \t").replace(b"\t", b" ").partition(b" ")
    token = token.strip(b" ")
    return token if scheme.lower() == b"bearer" and token else None


def parse_keys(text: str) -> tuple[tuple[ApiKey, ...], list[str]]:
    """Return the keys of a file's text and its faults, each with its line number and never with a key.

    A line is ``name:scope:key`` or ``name:scope:sha256:HEX``; empty lines and ``#`` comments are skipped.
    """
    keys, faults = [], []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            faults.append(f"line {number} is not NAME:SCOPE:KEY with the scope ask or admin")
            continue
        name, scope, key = match.group("name", "scope", "key")
        if key.startswith(HASH_PREFIX):
            hexadecimal = key.removeprefix(HASH_PREFIX).lower()
            if _HASH.fullmatch(hexadecimal) is None:
                faults.append(f"line {number}: {HASH_PREFIX} needs 64 hexadecimal digits")
                continue
            digest = bytes.fromhex(hexadecimal)
        else:
            digest = _digest(key.strip())
        keys.append(ApiKey(name, "admin" if scope == "admin" else "ask", digest))
    return tuple(keys), faults


def check_keys_file(path: Path) -> Path:
    """Return ``path`` if every line is valid; for settings. Raises ``ValueError`` with the first fault."""
    try:
        _, faults = parse_keys(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError("save the file as UTF-8") from error
    if faults:
        raise ValueError(faults[0])
    return path


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
