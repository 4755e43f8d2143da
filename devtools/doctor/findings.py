"""Findings of the doctor: a verdict with its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the report: the subject, what was seen, and the remedy unless the verdict is ok."""

    verdict: Verdict
    subject: str
    seen: str
    remedy: str = ""


def ok(subject: str, seen: str) -> Finding:
    """No fault."""
    return Finding("ok", subject, seen)


def warn(subject: str, seen: str, remedy: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding("warn", subject, seen, remedy)


def fail(subject: str, seen: str, remedy: str) -> Finding:
    """The product will not run, or not as configured."""
    return Finding("fail", subject, seen, remedy)
