"""Turns an encoder's safetensors into OpenVINO's format, once.

Runs as a separate process (``python -m engines.encoders.export TASK SOURCE TARGET.xml``), so that the
worker never holds torch in its memory.
"""

import inspect
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Literal

import openvino

from engines.base import ModelLoadError

Task = Literal["embedding", "ranking"]
EXPORT_TIMEOUT_S = 600


def ensure_exported(task: Task, source: Path, folder: Path, fingerprint: str) -> Path:
    """Return the exported model of ``source`` (a Hugging Face folder) in ``folder``, exporting it unless it is there.

    Raises ``ModelLoadError``.
    """
    version = openvino.__version__.split("-")[0]
    prefix, precision = ("embedder", "f16") if task == "embedding" else ("reranker", "f32")
    target = folder / f"{prefix}-{fingerprint}-openvino-{version}-{precision}.xml"
    if target.is_file() and target.with_suffix(".bin").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "engines.encoders.export", task, str(source), str(target)]
    try:
        subprocess.run(command, check=True, timeout=EXPORT_TIMEOUT_S, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
        raise ModelLoadError(f"exporting the {task} model to OpenVINO failed: {error}", fatal=False) from error
    return target


def export(task: str, source: Path, target: Path) -> None:
    """Write ``target`` (.xml) and its .bin; neither is there unless both are whole."""
    import torch
    import transformers

    library: Any = transformers
    kind = library.AutoModel if task == "embedding" else library.AutoModelForSequenceClassification
    model = kind.from_pretrained(source, attn_implementation="eager", use_safetensors=True, dtype=torch.float32).eval()
    read = inspect.signature(model.forward).parameters
    names = [name for name in library.AutoTokenizer.from_pretrained(source).model_input_names if name in read]
    # Ones are tokens in every vocabulary; not every model knows two types.
    example = {name: torch.full((2, 8), int(name != "token_type_ids"), dtype=torch.int64) for name in names}
    converted = openvino.convert_model(model, example_input=example)
    # Not by process id: containers that share the folder may have the same ones.
    partial = target.with_name(f"{target.stem}.{uuid.uuid4().hex}.xml")
    # Scores are compared with the library's to a thousandth; half precision in the weights is as large.
    openvino.save_model(converted, partial, compress_to_fp16=task == "embedding")
    partial.with_suffix(".bin").replace(target.with_suffix(".bin"))
    partial.replace(target)


if __name__ == "__main__":
    export(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
