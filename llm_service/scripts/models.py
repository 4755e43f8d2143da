"""The models of the LLM service: list, describe and fetch them.

    python scripts/models.py list | info NAME | pull NAME

``python dev.py model`` runs this in the service's environment. Exit status: 0 done, 1 not done (the message says
what to do), 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file: the app's folder is where its imports start
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    # Until main() runs there is nothing to tidy up: Ctrl-C ends it without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from config.settings import settings

# The library reads its variables when it is imported.
os.environ.update(settings.hub_environment)

from engines.base import ModelLoadError
from models.cli import info, stored
from models.cli.pulling import pull


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="model", description="The models of the LLM service.")
    parser.add_argument("command", choices=["list", "info", "pull"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--json", action="store_true", help="list, info: as one JSON object")
    parser.add_argument("--update", action="store_true", help="pull: take the newest revision and move the pin to it")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if options.command == "pull":
            pull(options.name, settings, _say, update=options.update)
        else:
            known = stored.list_models(settings) if options.command == "list" else info.describe(options.name, settings)
            as_text = stored.as_text if options.command == "list" else info.as_text
            _say(json.dumps(known, indent=1, ensure_ascii=False) if options.json else as_text(known))
    except ModelLoadError as error:
        sys.stderr.write(f"model: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted. What has arrived is kept: run the same command to resume.\n")
        return 130
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
