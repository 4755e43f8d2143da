"""The embedded model as an OpenVINO model with 8-bit weights, made once from its GGUF file and kept.

OpenVINO reproduces the model only from 8-bit weights: GenAI's GGUF reader takes Q8_0 over as it is, and rounds
the minima of Q4_1 (docs/decisions/0025). Conversion runs in a separate process
(``python -m models.openvino_copy SOURCE FOLDER``), so that the generator does not keep its memory.
"""

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from models.artifacts import ModelArtifact, folder_format

VERSION = 1
"""Version of the output of ``convert``; another version makes a new folder."""
TIMEOUT_S = 600

logger = logging.getLogger(__name__)


def as_openvino(artifact: ModelArtifact, cache: Path) -> ModelArtifact:
    """Return ``artifact``, a GGUF file, as its OpenVINO copy below ``cache``.

    The copy is made when it is missing: 15 to 60 s, 430 MB on disk meanwhile and 150 MB afterwards. Where it cannot
    be made the GGUF file itself is returned, for llama.cpp.
    """
    folder = cache / f"{artifact.path.stem}-openvino-{VERSION}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(folder.with_suffix(".lock")):
            if folder_format(folder) is None:
                logger.info("making the OpenVINO copy of %s: once, up to a minute", artifact.model)
                _make(artifact.path, folder)
    except (subprocess.SubprocessError, OSError) as error:
        logger.warning("%s is served by llama.cpp: no OpenVINO copy could be made (%s)", artifact.model, error)
        return replace(artifact, repack=False)
    return replace(artifact, path=folder, format="openvino")


def _make(source: Path, folder: Path) -> None:
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "models.openvino_copy", str(source), str(draft)]
    try:
        subprocess.run(command, check=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def convert(source: Path, folder: Path) -> None:
    """Write the model of a GGUF file to ``folder``: weights in Q8_0, tokenizer, configuration."""
    import openvino
    import openvino_genai
    import openvino_tokenizers
    from transformers import AutoTokenizer

    reading = folder / "reading"
    reading.mkdir(parents=True)
    config = _repack(source, reading / "model.gguf")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    openvino_genai.ContinuousBatchingPipeline(
        str(reading / "model.gguf"), openvino_genai.SchedulerConfig(), "CPU", {"enable_save_ov_model": True}
    )
    model = openvino.Core().read_model(reading / "openvino_model.xml")
    # Read by OpenVINO when it compiles the model: activations rounded to 8 bits would change its answers.
    model.set_rt_info("0", ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"])
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    tokenizer = AutoTokenizer.from_pretrained(reading, gguf_file="model.gguf")
    for name, part in zip(
        ("openvino_tokenizer", "openvino_detokenizer"),
        openvino_tokenizers.convert_tokenizer(tokenizer, with_detokenizer=True),
        strict=True,
    ):
        openvino.save_model(part, folder / f"{name}.xml")
    generation = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    del model
    shutil.rmtree(reading)


def _repack(source: Path, target: Path) -> dict[str, Any]:
    """Write a copy of the file with its matrices in Q8_0; return what ``config.json`` says of the model."""
    import gguf

    reader = gguf.GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    architecture = fields["general.architecture"]
    writer = gguf.GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if field.name == "general.file_type":
            writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_Q8_0))
        elif not field.name.startswith("GGUF.") and field.name != "general.architecture":
            writer.add_key_value(
                field.name, field.contents(), field.types[0], field.types[1] if len(field.types) > 1 else None
            )
    q8 = gguf.GGMLQuantizationType.Q8_0
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("float32")
        if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, values)
        else:
            writer.add_tensor(tensor.name, gguf.quants.quantize(values, q8), raw_dtype=q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {
        "model_type": architecture,
        "max_position_embeddings": int(fields[f"{architecture}.context_length"]),
        "hidden_size": int(fields[f"{architecture}.embedding_length"]),
        "num_hidden_layers": int(fields[f"{architecture}.block_count"]),
        "num_attention_heads": int(fields[f"{architecture}.attention.head_count"]),
        "num_key_value_heads": int(fields[f"{architecture}.attention.head_count_kv"]),
    }


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
