"""Fetches the models of the local fallback, which downloads nothing itself: ``python scripts/prepare_fallback.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.local import files
from adapters.local.config import LocalModelConfig, config_from_settings
from adapters.ports.models import TechnicalError
from config.settings import settings


def main() -> int:
    """Fetch what is not on this machine; return the exit status."""
    config = config_from_settings(settings)
    try:
        for name in (config.model, config.embedding_model):
            where = "on this machine" if _is_here(name, config) else files.fetch(name, config)
            sys.stdout.write(f"{name}: {where}\n")
    except TechnicalError as error:
        sys.stderr.write(f"local model: {error}\n")
        return 1
    return 0


def _is_here(name: str, config: LocalModelConfig) -> bool:
    try:
        if name == config.model:
            return not files.resolve_language_model(config).substituted
        return bool(files.resolve_embedding_model(config))
    except TechnicalError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
