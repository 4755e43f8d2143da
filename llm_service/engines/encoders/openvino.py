"""An exported encoder on OpenVINO: batches side by side, each on its share of the cores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import psutil

from engines.base import ModelLoadError
from engines.encoders.queue import BatchItem

MOST_STREAMS = 4
"""Batches computed side by side, each on its share of the cores: two of one core each embed 1.2
times as fast as one of two, and shorter batches hold less padding (docs/experiments.md)."""

IdMatrix = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Padding:
    """How batches become rectangles: the id of the padding token, and the longest row that the model reads."""

    token: int
    longest: int


class EncoderInference:
    """A compiled encoder. Raises ``ModelLoadError`` for a damaged file, which is removed.

    ``bfloat16``: compute in it where the processor has it.
    """

    def __init__(self, exported: Path, padding: Padding, *, bfloat16: bool) -> None:
        self.streams = max(1, min(MOST_STREAMS, psutil.cpu_count(logical=False) or 1))
        self._padding = padding
        core = openvino.Core()
        fast = bfloat16 and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options = {"NUM_STREAMS": str(self.streams), "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32"}
        try:
            compiled = core.compile_model(exported, "CPU", options)
        except RuntimeError as error:
            exported.unlink(missing_ok=True)
            raise ModelLoadError("the exported model was damaged; it will be exported anew", fatal=False) from error
        self._has_types = any("token_type_ids" in port.get_names() for port in compiled.inputs)
        self._requests = [compiled.create_infer_request() for _ in range(self.streams)]

    def run(self, batches: Sequence[Sequence[BatchItem]]) -> list[tuple[npt.NDArray[Any], IdMatrix]]:
        """Compute up to one batch a stream, side by side.

        Returns for each the model's first output and the attention mask, of shapes (texts, …) and (texts, tokens).
        """
        masks = []
        for infer, batch in zip(self._requests, batches, strict=False):
            ids, types, mask = self._pad(batch)
            masks.append(mask)
            inputs = {"input_ids": ids, "attention_mask": mask}
            infer.start_async(inputs | ({"token_type_ids": types} if self._has_types else {}))
        outputs = []
        for infer, mask, batch in zip(self._requests, masks, batches, strict=False):
            infer.wait()
            outputs.append((infer.get_output_tensor(0).data[: len(batch)], mask[: len(batch)]))
        return outputs

    def _pad(self, batch: Sequence[BatchItem]) -> tuple[IdMatrix, IdMatrix, IdMatrix]:
        """Return token ids, types and attention mask of a rounded shape; rows beyond the batch hold one token."""
        tokens = min(_round_up(max(item.length for item in batch)), self._padding.longest)
        shape = (_round_up(len(batch)), tokens)
        ids = np.full(shape, self._padding.token, dtype=np.int64)
        types = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        mask[len(batch) :, 0] = 1
        for row, item in enumerate(batch):
            ids[row, : item.length] = item.encoding.ids
            mask[row, : item.length] = 1
            types[row, : len(item.encoding.types)] = item.encoding.types
        return ids, types, mask


def _round_up(size: int) -> int:
    """Round to 1, 2, 4 and then steps of at most an eighth: OpenVINO keeps compiled kernels for every
    shape it has seen, which took hundreds of megabytes when every shape was its own.
    """
    step = max(2, 1 << max(0, size.bit_length() - 4)) if size > 1 else 1
    return -(-size // step) * step
