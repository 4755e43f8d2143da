"""Text generation on OpenVINO GenAI's continuous batching pipeline."""

import logging
from collections.abc import Sequence

import openvino

from config.settings import Settings
from engines.answer import most_new_tokens
from engines.base import ModelLoadError
from engines.errors import Unsupported, context_exceeded, unknown_token
from engines.events import Detokenized, RequestEvent, Tokenized
from engines.openvino import memory, step_size
from engines.openvino.answer import Answer
from engines.openvino.options import properties, scheduler_config
from engines.openvino.pipeline import Pipeline, last_line
from engines.openvino.stream_pace import StreamPace
from engines.prompts.continuation import CONTINUED_HERE, up_to_continuation
from engines.prompts.control_tokens import ControlTokens
from engines.prompts.prompt_bound import PromptBound
from engines.prompts.thinking import begins_inside_thought, budget_of
from engines.prompts.tools import in_words
from engines.requests import DetokenizeRequest, GenerationRequest, Request, TokenizeRequest
from engines.resident_memory import release_memory
from engines.text_assembly import TextAssembler
from models.artifacts import ModelArtifact
from models.fingerprint import model_fingerprint
from models.hardware import memory_bytes
from models.shape import read_shape

CHARACTERS_PER_TOKEN = 16
"""Prompts longer than the context times this are rare; of such a one the beginning is counted first."""
WARM_UP_BATCH = 8

logger = logging.getLogger(__name__)


class OpenVinoGenerator:
    """An ``Engine`` for a folder with an OpenVINO model. The measured step size is kept in ``model_cache_dir``."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        self._settings = settings
        self._path = artifact.path
        shape = read_shape(artifact)
        self._plan = memory.plan(shape, settings.llm_memory_gb, memory_bytes())
        self._properties = properties(settings.llm_dtype)
        fingerprint = model_fingerprint(artifact.path)
        precision = self._properties.get("INFERENCE_PRECISION_HINT", "")
        self._step_key = f"{fingerprint}/{openvino.__version__}/{precision}"
        self.step_tokens = (
            settings.llm_max_batched_tokens
            or step_size.load(settings.model_cache_dir, self._step_key)
            or step_size.guess(shape.weight_bytes)
        )
        self.batch_size = 0
        try:
            self._pipeline = self._open()
        except RuntimeError as error:
            raise ModelLoadError(f"OpenVINO could not load {artifact.model} ({last_line(error)})") from error
        if not self._pipeline.tokenizer.chat_template:
            raise ModelLoadError(f"{artifact.model} has no chat template: choose an instruction-tuned model")
        vocabulary = {
            text.decode("utf-8", "replace"): token for text, token in self._pipeline.tokenizer.get_vocab().items()
        }
        self._control_tokens = ControlTokens(vocabulary.items(), self._pipeline.decode)
        # One block stays free for the token that is being generated.
        context_length = min(shape.context_length, self._plan.tokens - memory.BLOCK_TOKENS)
        self._bound = PromptBound(vocabulary, context_length)
        self.info = artifact.loaded(
            "openvino",
            device="cpu",
            context_length=context_length,
            fingerprint=fingerprint,
        )
        logger.info(
            "memory: weights %d MB, KV and prefix cache up to %d MB (%d tokens)",
            shape.weight_bytes // 2**20,
            self._plan.kv_bytes // 2**20,
            self._plan.tokens,
        )

    def warm_up(self) -> None:
        """Compile the kernels of one request and of several, and set the step size for this machine."""
        self._warm_up_pipeline()
        if not self._settings.llm_max_batched_tokens:
            self._set_step_size()
        release_memory(self._path)

    def _set_step_size(self) -> None:
        """Measure a step, and build the pipeline again if it takes too long or could be longer."""
        tokens = min(self.step_tokens, self.info.context_length - 1)
        vocabulary_size = self._pipeline.vocabulary_size
        seconds = step_size.measure(lambda prompt: self._pipeline.run_together([prompt], 1), tokens, vocabulary_size)
        better = step_size.better(tokens, seconds)
        logger.info("reading %d tokens takes %.0f ms", tokens, 1000 * seconds)
        if better is not None and better != self.step_tokens:
            logger.info("a step reads up to %d tokens from now on", better)
            self.step_tokens = better
            self._pipeline = self._open()
            self._warm_up_pipeline()
        step_size.save(self._settings.model_cache_dir, self._step_key, self.step_tokens)

    def submit(self, request: Request) -> None:
        """Tokenize the conversation and hand it to the pipeline."""
        assert isinstance(request, GenerationRequest)
        if request.sampling.logprobs:
            raise Unsupported("this engine reports log probabilities of chosen tokens only", field="top_logprobs")
        prompt_ids = self._tokenize(request)
        max_new_tokens = most_new_tokens(request, len(prompt_ids), self.info.context_length)
        answer = Answer(
            request=request,
            prompt_ids=prompt_ids,
            text=TextAssembler(self._decode, request.sampling.stop, incremental=request.stream),
            max_new_tokens=max_new_tokens,
            inside_thought=begins_inside_thought(prompt_ids, self._decode),
            thinking_budget=budget_of(request, max_new_tokens),
        )
        self._pipeline.add(answer)

    def tokenize(self, request: TokenizeRequest) -> Tokenized:
        """Return the token ids of a text, or of a conversation's prompt."""
        if request.conversation is not None:
            return Tokenized(request.id, tuple(self._tokenize(request.conversation)))
        return Tokenized(request.id, tuple(self._pipeline.encode(request.text, special=request.special)))

    def detokenize(self, request: DetokenizeRequest) -> Detokenized:
        """Return the text of token ids, control tokens included."""
        for token in request.tokens:
            if token >= self._pipeline.vocabulary_size:
                raise unknown_token(token)
        tokenizer = self._pipeline.tokenizer
        return Detokenized(request.id, str(tokenizer.decode(list(request.tokens), skip_special_tokens=False)))

    def cancel(self, request_id: str) -> None:
        """Drop a request and free what it holds; unknown ids are ignored."""
        self._pipeline.cancel(request_id)

    def step(self) -> Sequence[RequestEvent]:
        """Run one step and return the events of every request."""
        events = self._pipeline.step()
        self.batch_size = self._pipeline.batch_size
        return events

    @property
    def running(self) -> int:
        """Requests accepted and not ended."""
        return self._pipeline.running

    @property
    def kv_cache_usage(self) -> float:
        """Share of the KV cache that answers hold, 0 to 1."""
        return self._pipeline.cache_usage

    def close(self) -> None:
        """Cancel everything; the process frees the pipeline."""
        self._pipeline.close()

    def _open(self) -> Pipeline:
        most = self._settings.llm_max_batched_tokens or step_size.burst(self.step_tokens)
        scheduler = scheduler_config(blocks=self._plan.blocks, max_batch=self._settings.llm_max_batch, most_tokens=most)
        pace = StreamPace(self._settings.llm_stream_interval_ms / 1000)
        return Pipeline(self._path, scheduler, self._properties, pace, self.step_tokens)

    def _warm_up_pipeline(self) -> None:
        tokens = self._pipeline.encode("1 2 3")
        for together in (1, WARM_UP_BATCH):
            self._pipeline.run_together([tokens] * together, max_new_tokens=8)

    def _tokenize(self, request: GenerationRequest) -> list[int]:
        messages = in_words(request)
        self._bound.check(messages)
        if request.raw:
            return self._pipeline.encode(request.messages[0].content, special=True)
        as_text = self._control_tokens.as_text
        history = [{"role": message.role, "content": as_text(message.content)} for message in messages]
        if request.continues:
            history[-1]["content"] += CONTINUED_HERE
        try:
            prompt = self._pipeline.tokenizer.apply_chat_template(
                history,
                add_generation_prompt=not request.continues,
                extra_context={"enable_thinking": request.enable_thinking},
            )
            if request.continues:
                prompt = up_to_continuation(prompt)
        except RuntimeError as error:
            raise Unsupported(
                "the model's chat template does not accept this sequence of messages", field="messages"
            ) from error
        beginning = CHARACTERS_PER_TOKEN * self.info.context_length
        if len(prompt) > beginning:
            # Cutting a text can add a token where it is cut.
            counted = len(self._pipeline.encode(prompt[:beginning])) - 1
            if counted >= self.info.context_length:
                raise context_exceeded(counted, self.info.context_length, at_least=True)
        return self._pipeline.encode(prompt)

    def _decode(self, ids: list[int]) -> str:
        return self._pipeline.decode([ids])[0]
