"""Turns an embedding model's safetensors into OpenVINO's format, once.

Runs as a process of its own (``python -m engines.embedder_export SOURCE TARGET.xml``), so that the
embedder worker never holds torch in its memory.
"""

import subprocess
import sys
import uuid
from pathlib import Path

from engines.base import ModelLoadError

EXPORT_TIMEOUT_S = 600


def ensure_exported(source: Path, target: Path) -> None:
    """Export ``source`` (a Hugging Face folder) to ``target`` unless that is there already."""
    if target.is_file() and target.with_suffix(".bin").is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "engines.embedder_export", str(source), str(target)]
    try:
        subprocess.run(command, check=True, timeout=EXPORT_TIMEOUT_S, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
        raise ModelLoadError(f"exporting the embedding model to OpenVINO failed: {error}", fatal=False) from error


def export(source: Path, target: Path) -> None:
    """Write ``target`` (.xml) and its .bin; neither is there unless both are whole."""
    import openvino
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source, attn_implementation="eager", use_safetensors=True).eval()
    names = ("input_ids", "attention_mask", "token_type_ids")
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in names}
    converted = openvino.convert_model(model, example_input=example)
    # Not by process id: containers that share the folder may have the same ones.
    partial = target.with_name(f"{target.stem}.{uuid.uuid4().hex}.xml")
    openvino.save_model(converted, partial, compress_to_fp16=False)
    partial.with_suffix(".bin").replace(target.with_suffix(".bin"))
    partial.replace(target)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
