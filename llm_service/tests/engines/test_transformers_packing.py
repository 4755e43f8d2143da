"""Linear layers with their weights in the order of the matrix kernels."""

import pytest
import torch
from torch import nn

from engines import transformers_packing
from engines.transformers_packing import PackedLinear, pack_linear_layers
from tests.engines.driving import chat, generate
from tests.engines.tiny_engine import LoadTiny

needs_kernels = pytest.mark.skipif(not transformers_packing._has_kernels(), reason="no bfloat16 kernels here")


@needs_kernels
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 96), (3, 7, 96), (130, 96)])
def test_a_packed_layer_computes_what_the_layer_did(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 160, bias=bias).bfloat16()
    inputs = torch.randn(shape).bfloat16()
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear)(inputs), linear(inputs), atol=0.01, rtol=0.01)


@needs_kernels
def test_a_bfloat16_model_is_packed_and_still_generates(load_tiny: LoadTiny) -> None:
    engine = load_tiny(dtype="bfloat16")
    model = engine.loaded.model
    assert isinstance(model.lm_head, PackedLinear)
    assert not any(type(module) is nn.Linear for module in model.modules())
    assert generate(engine, chat("one", "hola", max_new_tokens=8)).completion_tokens == 8


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_number_formats_stay_as_they_are(load_tiny: LoadTiny, dtype: str) -> None:
    assert type(load_tiny(dtype=dtype).loaded.model.lm_head) is nn.Linear


def test_a_model_stays_as_it_is_where_the_kernels_are_missing(
    load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_packing, "_has_kernels", lambda: False)
    engine = load_tiny(dtype="bfloat16")
    assert type(engine.loaded.model.lm_head) is nn.Linear
    assert generate(engine, chat("one", "hola", max_new_tokens=8)).completion_tokens == 8


@needs_kernels
def test_layers_that_only_descend_from_linear_are_left_alone() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = type("Own", (nn.Linear,), {})(8, 8).bfloat16()
            self.plain = nn.Linear(8, 8).bfloat16()
            self.device, self.dtype = torch.device("cpu"), torch.bfloat16

    model = Model()
    assert pack_linear_layers(model) == 1
    assert type(model.get_submodule("plain")) is PackedLinear
