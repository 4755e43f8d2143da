"""Runs a module like `python -m`, and ends at once when its standard input closes.

`python lifeline.py MODULE [ARGUMENT ...]`: the parent holds the other end of the pipe and never
writes to it; when the parent dies, however it dies, the pipe closes. So a killed set-up leaves no
pip behind that goes on writing into an environment which the next set-up is about to remove.
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
    sys.path[0] = os.getcwd()  # as `python -m` has it
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
