"""Makes the first local answer quick: ``python scripts/prepare_fallback.py`` unpacks the local model once."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.base import TechnicalError
from adapters.local_engine import LocalGenerator
from adapters.local_models import config_from_settings, resolve_language_model
from config.settings import settings


def main() -> int:
    """Load the local model as the fallback would; return the exit status."""
    config = config_from_settings(settings)
    try:
        generator = LocalGenerator(resolve_language_model(config), config)
    except TechnicalError as error:
        sys.stderr.write(f"local model: {error}\n")
        return 1
    sys.stdout.write(f"local model ready: {generator.name} on {generator.device}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
