"""Grammars as masks over the vocabulary (llguidance)."""

from functools import cached_property
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
import torch
from llguidance.gbnf_to_lark import gbnf_to_lark

from engines.errors import Unsupported


class Constraint:
    """The state of one answer: which tokens may come next."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def complete(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())

    def allowed(self, vocabulary: int) -> torch.Tensor:
        """Return which tokens may come next, booleans of shape (vocabulary,). Raises ``RuntimeError`` when none may."""
        if self._matcher.is_error():
            raise RuntimeError(f"the grammar cannot be followed: {self._matcher.get_error()[:200]}")
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        mask = np.zeros(vocabulary, dtype=bool)
        mask[: bits.size] = bits[:vocabulary]
        return torch.from_numpy(mask)

    def take(self, token: int) -> None:
        """Note the chosen token."""
        self._matcher.consume_token(token)


class Constraints:
    """Makes constraints for one tokenizer. ``vocabulary``: rows of the model's logits; ``stop_ids``: its end tokens."""

    def __init__(self, tokenizer: Any, vocabulary: int, stop_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._stop_ids = stop_ids

    def of(self, ebnf: str) -> Constraint:
        """Return the constraint of a grammar; raises ``Unsupported``."""
        try:
            grammar = llguidance.LLMatcher.grammar_from_lark(gbnf_to_lark(ebnf))
        except Exception as error:  # the library promises no narrower classes
            raise Unsupported("the grammar cannot be read", field="structured_outputs.grammar") from error
        matcher = llguidance.LLMatcher(self._wrapped, grammar, log_level=0)
        if matcher.is_error():
            raise Unsupported("the engine cannot follow this grammar", field="response_format")
        return Constraint(matcher)

    @cached_property
    def _wrapped(self) -> Any:
        try:
            return llguidance.hf.from_tokenizer(
                self._tokenizer, n_vocab=self._vocabulary, eos_token=sorted(self._stop_ids)
            )
        except ValueError as error:
            raise Unsupported("the model's tokenizer allows no grammar", field="response_format") from error
