"""The embedded model as an OpenVINO model, made once from its GGUF file and kept.

GenAI's GGUF reader takes the 4-bit weights over, but rounds their minima to whole steps; ``convert`` writes the file's
own minima into the model (docs/decisions/0025). Conversion runs in a separate process
(``python -m models.openvino_copy SOURCE FOLDER``), so that the generator does not keep its memory.
"""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from models.artifacts import ModelArtifact, folder_format

VERSION = 2
"""Version of the output of ``convert``; another version makes a new folder."""
TIMEOUT_S = 600

logger = logging.getLogger(__name__)


def as_openvino(artifact: ModelArtifact, cache: Path) -> ModelArtifact:
    """Return ``artifact``, a GGUF file, as its OpenVINO copy below ``cache``.

    The copy is made when it is missing: 15 to 60 s, 300 MB on disk meanwhile and 110 MB afterwards; copies of other
    versions are deleted. Where it cannot be made the GGUF file itself is returned, for llama.cpp.
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
    for other in folder.parent.glob(f"{source.stem}-openvino-*"):
        if other.is_dir() and other != folder:
            shutil.rmtree(other, ignore_errors=True)


def convert(source: Path, folder: Path) -> None:
    """Write the model of a GGUF file to ``folder``: weights, tokenizer, configuration."""
    import gguf

    file = gguf.GGUFReader(source)  # first: the other imports take seconds, which a damaged file need not wait for
    import openvino
    import openvino_genai
    import openvino_tokenizers
    from transformers import AutoTokenizer

    reading = folder / "reading"
    reading.mkdir(parents=True)
    shutil.copyfile(source, reading / "model.gguf")  # GenAI writes the model beside its source
    openvino_genai.ContinuousBatchingPipeline(
        str(reading / "model.gguf"), openvino_genai.SchedulerConfig(), "CPU", {"enable_save_ov_model": True}
    )
    model = openvino.Core().read_model(reading / "openvino_model.xml")
    _set_exact_minima(model, file.tensors)
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
    (folder / "config.json").write_text(json.dumps(_config(file.fields)), encoding="utf-8")
    del model
    shutil.rmtree(reading)


def _set_exact_minima(model: Any, tensors: Iterable[Any]) -> None:
    """Give Q4_1 weights the minima of the file: zero points of ``-minimum / scale``, which the reader has rounded.

    The model's rows stand in another order than the file's; a row is recognised by its scales.
    """
    import gguf
    import openvino
    from openvino import opset13

    minima_of: dict[bytes, bytes] = {}
    for tensor in tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
            # A block: scale and minimum in float16, then 32 weights of 4 bits.
            for row in tensor.data.reshape(int(tensor.shape[1]), -1, 20):
                minima_of[row[:, 0:2].tobytes()] = row[:, 2:4].tobytes()
    for node in model.get_ops():
        if node.get_type_name() != "Subtract":
            continue
        weights, rounded = (value.get_node().input_value(0) for value in node.input_values())
        if rounded.get_element_type() != openvino.Type.u4:
            continue
        (multiply,) = (user.get_node() for user in node.output(0).get_target_inputs())
        scales = multiply.input_value(1)
        steps = scales.get_node().data.astype(np.float32)
        minima = b"".join(minima_of[row.tobytes()] for row in scales.get_node().data)
        least = np.frombuffer(minima, np.float16).astype(np.float32).reshape(steps.shape)
        zero_points = np.divide(-least, steps, out=np.zeros_like(steps), where=steps != 0)
        centred = opset13.subtract(opset13.convert(weights, "f32"), opset13.constant(zero_points))
        exact = opset13.multiply(centred, opset13.convert(scales, "f32"))
        for user in multiply.output(0).get_target_inputs():
            user.replace_source_output(exact.output(0))


def _config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``config.json`` says of a model with these GGUF fields."""
    architecture = fields["general.architecture"].contents()

    def number(name: str) -> int:
        return int(fields[f"{architecture}.{name}"].contents())

    return {
        "model_type": architecture,
        "max_position_embeddings": number("context_length"),
        "hidden_size": number("embedding_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": number("attention.head_count"),
        "num_key_value_heads": number("attention.head_count_kv"),
    }


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
