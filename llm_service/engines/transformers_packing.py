"""Linear layers with their weights in the order that the processor's matrix kernels want."""

import logging
from typing import Any

import torch
from torch import nn

EXPECTED_ROWS = 8
"""Tokens a pass that the kernels are chosen for; the layers take any number."""

logger = logging.getLogger(__name__)


class PackedLinear(nn.Module):
    """An ``nn.Linear`` whose bfloat16 weight oneDNN has put in order once: the ordinary layer has that done
    for each product, which takes up to half of its time when there are few tokens (docs/decisions/0014).
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), EXPECTED_ROWS)  # noqa: SLF001
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map ``inputs`` (..., in_features) to (..., out_features)."""
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            inputs, self.weight, self.bias, "none", [], ""
        )
        return outputs


def pack_linear_layers(model: Any) -> int:
    """Replace the linear layers of a bfloat16 model on a CPU that computes in bfloat16; returns how many.

    The operators are the ones torch's own compiler uses; they are not part of its public interface, so
    where they are missing the model stays as it is.
    """
    if model.device.type != "cpu" or model.dtype != torch.bfloat16 or not _has_kernels():
        return 0
    packed = 0
    with torch.inference_mode():
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                # Not its subclasses: what they do differently would be lost.
                if type(child) is nn.Linear:
                    setattr(module, name, PackedLinear(child))
                    packed += 1
    logger.info("packed the weights of %d linear layers", packed)
    return packed


def _has_kernels() -> bool:
    operators = torch.ops.mkldnn
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and all(hasattr(operators, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
        and hasattr(operators, "_is_mkldnn_bf16_supported")
        and bool(operators._is_mkldnn_bf16_supported())  # noqa: SLF001
    )
