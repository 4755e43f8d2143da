"""Random tiny cross-encoders of several families."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

library: Any = transformers
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LIMIT = 40
FAMILIES = ("bert", "xlm-roberta", "modernbert", "electra")


def save_cross_encoder(folder: Path, family: str, *, labels: int = 1, **config: Any) -> Path:
    """Write a random model whose tokens are letters and whose pairs are read as its family reads them."""
    fast = letter_tokenizer(family)
    torch.manual_seed(11)
    sizes = {
        "vocab_size": len(fast),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "num_labels": labels,
        "pad_token_id": fast.pad_token_id,
        "initializer_range": 0.4,
        "max_position_embeddings": LIMIT + (fast.pad_token_id + 1 if family == "xlm-roberta" else 0),
        **config,
    }
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "bert": (library.BertConfig, {}),
        "electra": (library.ElectraConfig, {"embedding_size": 32}),
        "xlm-roberta": (library.XLMRobertaConfig, {"type_vocab_size": 1}),
        "modernbert": (library.ModernBertConfig, {"local_attention": 8, "initializer_cutoff_factor": 3.0}),
    }
    kind, more = kinds[family]
    model = library.AutoModelForSequenceClassification.from_config(kind(**sizes, **more))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def letter_tokenizer(family: str) -> Any:
    """Return a tokenizer of letters with the special tokens of a family."""
    # The padding token of XLM-R is not 0, and positions count from it.
    special = ["<s>", "<pad>", "</s>", "<unk>"] if family == "xlm-roberta" else ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    first, pad, end, unknown = (0, 1, 2, 3) if family == "xlm-roberta" else (1, 0, 2, 3)
    words = [*special, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token=special[unknown]))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    start, stop = special[first], special[end]
    between = f"{stop} {stop}" if family == "xlm-roberta" else stop
    second = 0 if family in ("xlm-roberta", "modernbert") else 1
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {stop}",
        pair=f"{start} $A {between} $B:{second} {stop}:{second}",
        special_tokens=[(start, first), (stop, end)],
    )
    inputs = ["input_ids", "attention_mask"]
    return library.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=special[pad],
        cls_token=start,
        sep_token=stop,
        unk_token=special[unknown],
        model_max_length=LIMIT,
        model_input_names=[*inputs, "token_type_ids"] if second else inputs,
    )
