"""A model of the hub without its weights: enough to tell what it is and who could load it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from engines.model_hub import ModelHub
from engines.model_sources import FetchPlan

TEXTS = ("config.json", "chat_template.jinja", "chat_template.json", "tokenizer_config.json", "1_Pooling/config.json")


def fetch_outline(plan: FetchPlan, hub: ModelHub, scratch: Path, only: Sequence[str] = TEXTS) -> Path:
    """Make a folder that looks like the model, with its texts in it and nothing in its weights. Raises
    ``ModelLoadError``.
    """
    folder = scratch / "model"
    for file in plan.files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        if file.path in only:
            shutil.copyfile(hub.peek(plan.listing, file.path, scratch / "cache"), target)
    return folder
