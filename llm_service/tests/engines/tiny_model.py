"""A language model of a few thousand random weights, for what does not depend on what it says."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system messages') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}{% if enable_thinking %}<think>{% endif %}"
)
CONTEXT = 96
VOCABULARY, HIDDEN, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 258, 32, 64, 2, 4, 2


def save_tiny_model(
    folder: Path, *, template: str | None = TEMPLATE, eos: list[int] | int = 256, context: int = CONTEXT
) -> Path:
    """Write a folder as the hub has them: config.json, model.safetensors, tokenizer files. Token ids
    below 256 are bytes, 256 and 257 are special. Not with transformers, whose import takes seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": context,
        "eos_token_id": 256,
        "bos_token_id": None,
    }
    sampling = {"eos_token_id": eos, "do_sample": True, "temperature": 0.7, "top_k": 20}
    special = {"eos_token": "<end>", "extra_special_tokens": ["<also>"]}
    files = {"config": config, "generation_config": sampling, "tokenizer_config": special}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    _tokenizer().save(str(folder / "tokenizer.json"))
    save_file(_weights(), folder / "model.safetensors", {"format": "pt"})
    return folder


def _tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: at for at, character in enumerate(alphabet)}, [], unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>", "<also>"])
    return tokenizer


def _weights() -> dict[str, np.ndarray]:
    kv = KV_HEADS * HIDDEN // HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (kv, HIDDEN),
        "self_attn.v_proj": (kv, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
        "mlp.up_proj": (FEED_FORWARD, HIDDEN),
        "mlp.down_proj": (HIDDEN, FEED_FORWARD),
        "input_layernorm": (HIDDEN,),
        "post_attention_layernorm": (HIDDEN,),
    }
    of_all = {"model.embed_tokens": (VOCABULARY, HIDDEN), "lm_head": (VOCABULARY, HIDDEN), "model.norm": (HIDDEN,)}
    of_layers = {f"model.layers.{at}.{name}": shape for at in range(LAYERS) for name, shape in shapes.items()}
    random = np.random.default_rng(0)
    return {
        f"{name}.weight": (random.normal(0, 0.02, shape) if len(shape) == 2 else np.ones(shape)).astype(np.float32)
        for name, shape in (of_all | of_layers).items()
    }
