"""What the doctor finds: one verdict with its mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what was looked at, what was seen, and the mend when it is not well."""

    verdict: Verdict
    subject: str
    seen: str
    mend: str = ""


def ok(subject: str, seen: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, seen)


def warn(subject: str, seen: str, mend: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding("warn", subject, seen, mend)


def fail(subject: str, seen: str, mend: str) -> Finding:
    """The product will not run, or not as configured."""
    return Finding("fail", subject, seen, mend)
