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
        for name, is_here in ((config.model, _has_generator), (config.embedding_model, _has_embedder)):
            where = "on this machine" if is_here(config) else files.fetch(name, config)
            sys.stdout.write(f"{name}: {where}\n")
    except TechnicalError as error:
        sys.stderr.write(f"local model: {error}\n")
        return 1
    return 0


def _has_generator(config: LocalModelConfig) -> bool:
    try:
        return not files.resolve_language_model(config).substituted
    except TechnicalError:
        return False


def _has_embedder(config: LocalModelConfig) -> bool:
    try:
        return bool(files.resolve_embedding_model(config))
    except TechnicalError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
