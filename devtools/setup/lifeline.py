"""Runs a module like `python -m`, and ends at once when its standard input closes.

`python lifeline.py MODULE [ARGUMENT ...]`: the parent holds the other end of the pipe and never
writes to it; the pipe closes when the parent dies for any reason. Hence a killed set-up leaves no pip
process behind that writes into an environment while the next set-up removes it.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _die_with_the_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    sys.path[0] = os.getcwd()  # same as `python -m`
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
