"""Settings as the start of the service reads them; that a bad one ends the process: test_start_and_stop."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from service_kit.settings import load

from config.settings import Settings, env_files

EMPTY = dict.fromkeys(("LLM_MODEL", "LLM_TEMPERATURE", "LLM_SERVICE_API_KEY", "HF_HOME", "CORS_ORIGINS"), "")


def values(**variables: str) -> dict[str, Any]:
    """Read the settings with no other variables than these."""
    with patch.dict(os.environ, {"ENV_FILES": "none"} | variables, clear=True):
        return dict(load(Settings, env_files()))


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}=\n" for name in EMPTY))
    plain = values()
    assert values(**EMPTY) == plain
    assert values(ENV_FILES=str(file)) == plain


def test_an_upstreams_key_is_taken_and_not_shown() -> None:
    assert str(values(LLM_UPSTREAM_API_KEY="sk-1")["llm_upstream_api_key"]) == "**********"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LLM_ENABLE_THINKING": "true", "LLM_TEMPERATURE": "0"}, "LLM_TEMPERATURE"),
        ({"LLM_SERVICE_HOST": "0.0.0.0", "LLM_SERVICE_API_KEY": ""}, "LLM_SERVICE_API_KEY"),
        ({"LLM_SERVICE_API_KEY": "  "}, "LLM_SERVICE_API_KEY: must not be blank"),
        ({"LLM_SERVICE_KEYS_FILE": "/nowhere/keys"}, "LLM_SERVICE_KEYS_FILE: "),
        ({"LLM_MAX_BATCH": "0"}, "LLM_MAX_BATCH"),
        ({"LLM_CACHE_MB": "-1"}, "LLM_CACHE_MB"),
        ({"LLM_CACHE_TTL_S": "0"}, "LLM_CACHE_TTL_S"),
        ({"EMBED_CACHE_MB": "nan"}, "EMBED_CACHE_MB"),
        ({"LLM_UPSTREAM_API_KEY": "two words"}, "LLM_UPSTREAM_API_KEY"),
        ({"LLM_UPSTREAM_URL": "http://localhost:80000"}, "LLM_UPSTREAM_URL"),
        ({"LLM_UPSTREAM_URL": "http://local host"}, "LLM_UPSTREAM_URL"),
    ],
)
def test_what_cannot_work_stops_the_start_with_one_line(variables: dict[str, str], named: str) -> None:
    with pytest.raises(SystemExit, match=rf"^configuration error: [^\n]*{named}[^\n]*$"):
        values(**variables)


def test_memory_has_two_names_of_which_the_newer_counts() -> None:
    assert values(LLM_KV_CACHE_GB="1.5")["llm_memory_gb"] == 1.5
    assert values(LLM_KV_CACHE_GB="1.5", LLM_MEMORY_GB="2")["llm_memory_gb"] == 2.0
