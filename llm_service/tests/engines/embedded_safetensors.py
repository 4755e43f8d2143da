"""The embedded model as a folder of safetensors, for engines that read no GGUF file."""

from pathlib import Path
from typing import Any

from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from config.settings import ROOT_DIR


def embedded_safetensors(gguf_file: Path) -> Path:
    """Return a folder with the file's weights in float32, converted once by transformers (530 MB)."""
    folder = ROOT_DIR / ".data" / "test-models" / f"{gguf_file.stem}-{gguf_file.stat().st_size}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(folder.with_suffix(".lock")):  # several test processes may want it at the same time
        if not folder.is_dir():
            draft = folder.with_suffix(".draft")
            _convert(gguf_file, draft)
            draft.rename(folder)
    return folder


def _convert(gguf_file: Path, folder: Path) -> None:
    import torch
    import transformers

    library: Any = transformers
    source = {"pretrained_model_name_or_path": str(gguf_file.parent), "gguf_file": gguf_file.name}
    tokenizer = library.AutoTokenizer.from_pretrained(**source)
    plain = library.GgufConfig(dequantize=True)
    model = library.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, quantization_config=plain)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
