"""How threads of native libraries wait for one another."""

import os

SPIN_COUNT = "1000"
"""Polls before a waiting thread sleeps, some 20 µs."""


def bound_spinning() -> None:
    """Make OpenMP's threads sleep after a short spin; call before a library with OpenMP is loaded.

    Threads that spin without end take the cores from each other when other programs run; threads that sleep at once
    halve the speed when none do (docs/experiments.md). ``OMP_WAIT_POLICY`` in the environment takes precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
