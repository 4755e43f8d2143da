"""A GGUF file of a few thousand random weights, quantised as a test wants it."""

from pathlib import Path

import gguf
import numpy as np
from tokenizers import pre_tokenizers

LAYERS, HIDDEN, HEADS, KV_HEADS, FEED_FORWARD = 2, 64, 4, 2, 128
CONTEXT = 512
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"


def save_tiny_gguf(path: Path, kind: str, *, file_type: str | None = "", template: str = TEMPLATE) -> Path:
    """Write a llama-shaped model whose matrices have the type ``kind`` (``Q5_0``, ``F16``, …). Tokens are
    bytes and one end token. ``file_type`` is what the header says they have; ``None`` leaves that out,
    which OpenVINO cannot read.
    """
    quantisation = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if file_type is not None:
        said = file_type or kind
        writer.add_file_type(int(gguf.LlamaFileType["ALL_F32" if said == "F32" else f"MOSTLY_{said}"]))
    _add_tokenizer(writer, template)
    _add_tensors(writer, quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tokens() -> list[str]:
    return [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab", "<end>"]


def _add_tokenizer(writer: gguf.GGUFWriter, template: str) -> None:
    tokens = _tokens()
    end = len(tokens) - 1
    kinds = [int(gguf.TokenType.NORMAL)] * end + [int(gguf.TokenType.CONTROL)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_unk_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_vocab_size(len(tokens))
    writer.add_chat_template(template)


def _add_tensors(writer: gguf.GGUFWriter, quantisation: gguf.GGMLQuantizationType) -> None:
    random = np.random.default_rng(0)
    head_size = HIDDEN // HEADS
    shapes = {"attn_q": (HIDDEN, HIDDEN), "attn_output": (HIDDEN, HIDDEN)}
    shapes |= {"attn_k": (KV_HEADS * head_size, HIDDEN), "attn_v": (KV_HEADS * head_size, HIDDEN)}
    shapes |= {"ffn_gate": (FEED_FORWARD, HIDDEN), "ffn_up": (FEED_FORWARD, HIDDEN), "ffn_down": (HIDDEN, FEED_FORWARD)}

    def add(name: str, shape: tuple[int, int]) -> None:
        values = random.normal(0, 0.1, shape).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, quantisation), raw_dtype=quantisation)

    add("token_embd.weight", (len(_tokens()), HIDDEN))
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, dtype=np.float32))
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(HIDDEN, dtype=np.float32))
        for name, shape in shapes.items():
            add(f"blk.{layer}.{name}.weight", shape)
