"""Fetches the models of the local fallback, which downloads nothing itself: ``python scripts/prepare_fallback.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx2

from adapters.local import files
from adapters.local.config import LocalModelConfig, config_from_settings
from adapters.ports.models import TechnicalError
from config.settings import settings

_FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt", "1_Pooling/*"]


def main() -> int:
    """Fetch what is not on this machine; return the exit status."""
    config = config_from_settings(settings)
    for name in (config.model, config.embedding_model):
        try:
            where = "on this machine" if _is_here(name, config) else _fetch(name, config.hub_cache)
        except (OSError, ValueError, httpx2.HTTPError) as error:
            sys.stderr.write(f"local model: {name} cannot be fetched: {error}\n")
            return 1
        sys.stdout.write(f"{name}: {where}\n")
    return 0


def _is_here(name: str, config: LocalModelConfig) -> bool:
    try:
        if name == config.model:
            return not files.resolve_language_model(config).substituted
        return bool(files.resolve_embedding_model(config))
    except TechnicalError:
        return False


def _fetch(model: str, cache: str | None) -> str:
    """Download a hub model; return its folder."""
    from huggingface_hub import snapshot_download

    return snapshot_download(
        model,
        cache_dir=cache,
        token=settings.hub_token,
        endpoint=settings.hf_endpoint,
        local_files_only=settings.hf_hub_offline,
        allow_patterns=_FILES,
    )


if __name__ == "__main__":
    raise SystemExit(main())
