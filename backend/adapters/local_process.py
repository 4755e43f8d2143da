"""One life of the process of the local models: starts it, carries messages both ways, says when it has ended."""

import contextlib
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from adapters.local_pipe import FrameWriter, read_frames

logger = logging.getLogger(__name__)
_APP_FOLDER = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "adapters.local_child")


class LocalProcess:
    """A child process and the threads that talk with it; no method but ``wait`` ever blocks.

    Args:
        command: what to start, in the backend's folder.
        on_event: told every message of the child, on a thread of its own.
        on_end: told once, after the last message, when the child has ended or could not be started.

    """

    def __init__(self, command: Sequence[str], on_event: Callable[[Any], None], on_end: Callable[[str], None]) -> None:
        self._command = command
        self._on_event = on_event
        self._on_end = on_end
        self._outgoing: queue.SimpleQueue[object | None] = queue.SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None
        self._kill_wanted = False
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def pid(self) -> int | None:
        """The child's process id, once it has been started."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the child, on a thread: that alone takes tens of milliseconds."""
        threading.Thread(target=self._run, name="local-models", daemon=True).start()

    def send(self, message: object) -> None:
        """Have a message written; nobody hears of it when the child has ended."""
        self._outgoing.put(message)

    def finish(self) -> None:
        """Close the child's input after what was sent, upon which it ends whatever it does."""
        self._outgoing.put(None)

    def kill(self) -> None:
        """End the child now."""
        with self._lock:
            self._kill_wanted = True
            if self._child is not None:
                self._child.kill()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; tell whether it has come."""
        return self._ended.wait(timeout_s)

    def _run(self) -> None:
        how = "could not be started"
        try:
            how = self._talk()
        except Exception:
            # The edge of a thread: whoever waits for this child must hear of its end.
            logger.exception("the process of the local models is lost")
        finally:
            self._on_end(how)
            self._ended.set()

    def _talk(self) -> str:
        # In a group of its own: the console's Ctrl-C is for the backend, which closes the pipe.
        group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        with subprocess.Popen(
            list(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_APP_FOLDER,
            start_new_session=True,
            creationflags=group | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        ) as child:
            with self._lock:
                self._child = child
                if self._kill_wanted:
                    child.kill()
            # Writing has a thread of its own: a child that does not read must not keep this one from hearing its end.
            writing = threading.Thread(target=self._write, args=(child,), name="local-models-commands", daemon=True)
            writing.start()
            try:
                for event in read_frames(cast("Any", child.stdout)):
                    self._on_event(event)
            except BaseException:
                child.kill()  # leaving this block waits for it
                raise
            child.wait()
            self._outgoing.put(None)
            writing.join()
        return f"ended with status {child.returncode}"

    def _write(self, child: "subprocess.Popen[bytes]") -> None:
        pipe = cast("Any", child.stdin)
        writer = FrameWriter(pipe)
        with contextlib.suppress(OSError, ValueError):
            while (message := self._outgoing.get()) is not None:
                writer.send(message)
        with contextlib.suppress(OSError):
            pipe.close()
