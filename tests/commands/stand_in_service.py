"""Stands in for a service in the tests of dev.py: answers /readyz and misbehaves on request.

What to do comes in `STAND_IN_LLM` or `STAND_IN_BACKEND`, words separated by spaces:
`ready_after=S` `die_after=S` (seconds), `die_once` (only on the first start), `stubborn` (ignores
requests to end), `says` (prints `says.txt`), `child` (starts a child process that would outlive it),
`quiet_death` (ends at once).
Every start appends its process id to `pids.txt`, the child's to `children.txt`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
LLM = HERE.name == "llm_service"
ORDERS = dict(
    (word + "=").split("=")[:2] for word in os.environ.get("STAND_IN_LLM" if LLM else "STAND_IN_BACKEND", "").split()
)
STARTED = time.monotonic()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = time.monotonic() - STARTED >= float(ORDERS.get("ready_after") or 0)
        self.send_response(503 if self.path == "/readyz" and not ready else 200)
        self.end_headers()
        visible = {name: value for name, value in os.environ.items() if name.startswith(("LLM_", "BACKEND_"))}
        self.wfile.write(json.dumps(visible).encode())

    def log_message(self, *_: object) -> None:
        pass


def note(name: str, pid: int) -> int:
    path = HERE / name
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{pid}\n")
    return len(path.read_text(encoding="utf-8").split())


def die_later(seconds: float) -> None:
    time.sleep(seconds)
    print("the stand-in dies now", flush=True)
    os._exit(7)


def main() -> None:
    starts = note("pids.txt", os.getpid())
    print(f"stand-in start {starts} ñandú", flush=True)
    if "says" in ORDERS:
        print((HERE / "says.txt").read_text(encoding="utf-8"), flush=True)
    if "quiet_death" in ORDERS:
        sys.exit("Configuration error: LLM_MODEL: it says no")
    if "child" in ORDERS:
        note("children.txt", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    if "die_after" in ORDERS and ("die_once" not in ORDERS or starts == 1):
        threading.Thread(target=die_later, args=(float(ORDERS["die_after"]),), daemon=True).start()
    if "stubborn" in ORDERS:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    port = int(os.environ["LLM_SERVICE_PORT" if LLM else "BACKEND_PORT"])
    try:
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    except KeyboardInterrupt:
        print("stand-in ends gracefully", flush=True)


main()
