"""A language model of a few thousand random weights, for what does not depend on what it says."""

from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system messages') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}{% if enable_thinking %}<think>{% endif %}"
)
CONTEXT = 96


def save_tiny_model(
    folder: Path, *, template: str | None = TEMPLATE, eos: list[int] | int = 256, context: int = CONTEXT
) -> Path:
    """Write a folder as the hub has them: config.json, model.safetensors, tokenizer files. Token ids
    below 256 are bytes, 256 and 257 are special."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from engines.transformers.loading import library

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: at for at, character in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = library.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", additional_special_tokens=["<also>"]
    )
    fast.chat_template = template
    config = library.LlamaConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        eos_token_id=256,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    model = library.LlamaForCausalLM(config)
    model.generation_config = library.GenerationConfig(eos_token_id=eos, do_sample=True, temperature=0.7, top_k=20)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
