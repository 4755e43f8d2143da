"""The library's continuous batching, where every request comes and goes on its own."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

from engines.base import EngineBroken, ModelLoadError, RequestEvent
from engines.request_ids import http_request_of
from engines.transformers_loading import LoadedModel, library
from engines.transformers_rows import UNUSABLE, Row
from engines.transformers_sampling import choose_tokens, unusable_rows

PAGE_TOKENS = 256
MEMORY_SHARE = 0.9
"""Share of the free memory that cache and working buffers may take together; the cache alone is bounded
by ``LoadedModel.batch_tokens``."""
CLOSE_S = 30.0

logger = logging.getLogger(__name__)


class ContinuousRunner:
    """A ``Runner`` around ``ContinuousBatchingManager``, meant for CUDA; it runs on CPUs too, slowly.

    Rows join after any pass, long prompts are read in pieces of ``prefill_tokens`` between the others'
    tokens, a cancelled row's blocks are free after the pass under way, and prompts that begin alike share
    their blocks. The library's own sampling has one random sequence for
    all requests; so its choice is made here, row by row, with ``RowSampler``.
    """

    def __init__(self, loaded: LoadedModel, *, max_batch: int) -> None:
        self._loaded = loaded
        self._rows: dict[str, Row] = {}
        self._ids = itertools.count()
        self._use_attention()
        blocks = _blocks(loaded, max_batch)
        # A request that fits the whole cache always ends: others give way to it and start again later.
        self.context_length = min(loaded.context_length, blocks * PAGE_TOKENS)
        # CUDA graphs and overlapped batches are left out: the choice of tokens is Python that a graph
        # would not run again, and neither could be tried without a GPU.
        config = library.ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=blocks,
            max_batch_tokens=max(loaded.prefill_tokens, max_batch),
            max_requests_per_batch=max_batch,
            max_memory_percent=MEMORY_SHARE,
            allow_block_sharing=True,
            use_cuda_graph=False,
            use_async_batching=False,
            auto_switch_to_flash=False,
        )
        own = loaded.model.generation_config
        self._manager: Any = loaded.model.init_continuous_batching(
            generation_config=library.GenerationConfig(
                do_sample=False,
                eos_token_id=sorted(loaded.stop_ids) or -1,
                pad_token_id=loaded.pad_id,
                repetition_penalty=own.repetition_penalty,
            ),
            continuous_batching_config=config,
        )
        _install(_Chooser(self._rows, loaded.top_k), self._manager.logit_processor)
        try:
            self._manager.warmup()
        except (MemoryError, ValueError, torch.OutOfMemoryError) as error:
            raise ModelLoadError(
                f"there is no room for a KV cache of {blocks * PAGE_TOKENS} tokens: "
                "lower LLM_KV_CACHE_GB or LLM_MAX_BATCH, or choose a smaller model (LLM_MODEL)"
            ) from error
        self._manager.start()

    def add(self, row: Row) -> None:
        """Hand a row to the manager, which takes it on before its next pass."""
        # The library's ids are not the callers': one of theirs may come again while its first use is being cancelled.
        row_id = str(next(self._ids))
        self._rows[row_id] = row
        self._manager.add_request(
            row.prompt_ids,
            request_id=row_id,
            max_new_tokens=row.max_new_tokens,
            eos_token_id=sorted(self._loaded.stop_ids),
            streaming=True,
        )

    def cancel(self, row: Row) -> None:
        """Drop a row; its blocks are free before the next pass."""
        row.cancelled = True
        for row_id in [row_id for row_id, known in self._rows.items() if known is row]:
            self._release(row_id)

    def collect(self, timeout_s: float) -> Sequence[tuple[Row, RequestEvent]]:
        """Return what the passes since the last call have produced."""
        collected: list[tuple[Row, RequestEvent]] = []
        output = self._manager.get_result(timeout=timeout_s)
        while output is not None:
            self._take(output, collected)
            output = self._manager.get_result(timeout=0)
        if not self._manager.is_running():
            raise EngineBroken("the continuous batching thread has ended")
        return collected

    @property
    def batch_size(self) -> int:
        """Rows that the manager has; it takes no more than fit a pass."""
        return len(self._rows)

    @property
    def kv_cache_usage(self) -> float | None:
        """Share of the blocks that are not free, 0 to 1."""
        processor = self._manager.batch_processor
        return None if processor is None else 1.0 - float(processor.cache.compute_free_capacity())

    def close(self) -> None:
        """End the thread after the pass under way."""
        self._manager.stop(hard_stop=True, timeout=CLOSE_S)

    def _use_attention(self) -> None:
        """Use FlashAttention where it is installed, and else the attention that comes with torch. Asked of
        the library, the former would also be fetched from the hub.
        """
        model = self._loaded.model
        flash = (
            model.device.type == "cuda" and model.dtype != torch.float32 and library.utils.is_flash_attn_2_available()
        )
        model.set_attn_implementation("flash_attention_2" if flash else "sdpa")

    def _take(self, output: Any, collected: list[tuple[Row, RequestEvent]]) -> None:
        row = self._rows.get(output.request_id)
        if output.error is not None:
            self._check_alive(output.error)
        if row is None:
            return
        if output.error is not None:
            about = {"request_id": http_request_of(row.request.id)}
            logger.error("a request failed: %s", output.error, extra=about)
            collected.append((row, row.fail("the engine did not accept the request")))
        elif row.unusable:
            collected.append((row, row.fail(UNUSABLE)))
        else:
            for token in output.generated_tokens[row.text.token_count :]:
                if not row.ended:
                    collected.extend((row, event) for event in row.take(token, self._loaded.stop_ids))
        if row.ended:
            self._release(output.request_id)

    def _check_alive(self, error: str) -> None:
        """Raise ``EngineBroken`` when a failure is everybody's: the manager gives up after a failed pass."""
        if self._manager.background_thread_status.can_accept_new_requests() is not None:
            raise EngineBroken(f"a pass failed: {error}")

    def _release(self, row_id: str) -> None:
        del self._rows[row_id]
        # Also for rows that ended by themselves: one that ended by a stop string goes on in the manager.
        self._manager.cancel_request(row_id)


class _Chooser(ContinuousBatchingLogitsProcessor):
    """Leaves of each row's scores nothing to choose but the token that its own sampler has chosen."""

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012 - declared so by the library
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, rows: Mapping[str, Row], top_k: int) -> None:
        self._rows = rows
        self._top_k = top_k
        self._next: list[Row | None] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """Leave the library's per-request storage unused."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        """Note whose scores come next; called before each pass, in the order of its rows."""
        self._next = [self._rows.get(request.state.request_id) for request in requests_with_new_token]
        return torch.zeros(len(requests_with_new_token), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Choose a token for each row of ``scores`` (rows, vocabulary). Rows past those of ``prepare_tensor_args``
        stand for requests whose prompt is still being read; nobody looks at their tokens.
        """
        for row, unusable in zip(self._next, unusable_rows(scores), strict=False):
            if row is not None:
                row.unusable = row.unusable or unusable
        samplers = [row.sampler if row is not None else None for row in self._next]
        if all(sampler is None or sampler.greedy for sampler in samplers):
            return scores
        samplers += [None] * (len(scores) - len(samplers))
        chosen = choose_tokens(scores, samplers, top_k=self._top_k)
        return scores.scatter(1, chosen.unsqueeze(1), torch.inf)


def _install(chooser: _Chooser, processors: Any) -> None:
    """Add the chooser behind the model's own processors. The library offers no way to bring one's own, so
    this does what its constructor does with those it makes; the pinned version's test covers it.
    """
    processors.logits_processor.append(chooser)
    processors.tensors_required += 1
    processors.do_processing = True


def _blocks(loaded: LoadedModel, max_batch: int) -> int:
    """Return the blocks of the KV cache: as many as fit, and no more than ``max_batch`` rows can fill."""
    wanted = max_batch * -(-loaded.context_length // PAGE_TOKENS)
    return max(1, min(wanted, loaded.batch_tokens // PAGE_TOKENS))
