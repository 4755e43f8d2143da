"""The local fallback with the real, embedded models."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from adapters.base import ChatMessage, Completion, LogicalError, SamplingOptions, TechnicalError, TextDelta
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.local_config import LocalModelConfig
from adapters.local_models import embedding_fingerprint, resolve_embedding_model
from config.settings import BACKEND_ROOT

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.model,
    # Said by torch, transformers and the compilers beneath them; not ours to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]
CAPITAL: list[ChatMessage] = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = SamplingOptions(max_new_tokens=12, temperature=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
async def local(cache: Path) -> AsyncIterator[HuggingFaceAdapter]:
    adapter = HuggingFaceAdapter(LocalModelConfig(model="embedded", unpacked_cache=cache, timeout_s=180))
    yield adapter
    await adapter.close()


async def test_it_answers_greedily_at_temperature_zero(local: HuggingFaceAdapter) -> None:
    first = await local.complete(CAPITAL, GREEDY)
    again = await local.complete(CAPITAL, GREEDY)
    assert "Paris" in first.answer
    assert first.answer == again.answer
    assert (first.served_by, first.finish_reason) == ("local", "stop")
    assert 0 < first.tokens_generated <= 12


async def test_a_stream_adds_up_to_the_answer(local: HuggingFaceAdapter) -> None:
    async with aclosing(local.stream(CAPITAL, GREEDY)) as stream:
        parts = [part async for part in stream]
    assert isinstance(parts[-1], Completion)
    assert "".join(part.text for part in parts if isinstance(part, TextDelta)).strip() == parts[-1].answer


async def test_leaving_a_stream_frees_the_model(local: HuggingFaceAdapter) -> None:
    story: list[ChatMessage] = [{"role": "user", "content": "Tell me a very long story about a river."}]
    async with aclosing(local.stream(story, SamplingOptions(max_new_tokens=4000))) as stream:
        async for _part in stream:
            break
    # With 4000 tokens still to come, this answer would time out.
    assert "Paris" in (await local.complete(CAPITAL, GREEDY)).answer


async def test_a_prompt_longer_than_the_context_is_refused_with_both_counts(local: HuggingFaceAdapter) -> None:
    with pytest.raises(LogicalError, match=r"\d{4,} tokens.* \d{4}") as caught:
        await local.complete([{"role": "user", "content": "river " * 9000}], GREEDY)
    assert caught.value.error_type == "context_length_exceeded"


async def test_vectors_are_unit_vectors_with_the_services_fingerprint(local: HuggingFaceAdapter) -> None:
    result = await local.embed_texts(["hola", "casa"])
    assert [len(vector) for vector in result.vectors] == [384, 384]
    assert all(abs(sum(x * x for x in vector) - 1) < 1e-4 for vector in result.vectors)
    # Fixed: the LLM service computes the same, and stored vectors carry it.
    assert result.fingerprint == await local.tell_fingerprint() == "23202422d3773d12"


def test_chat_completion_is_the_plans_blocking_method(local: HuggingFaceAdapter) -> None:
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(local.chat_completion(CAPITAL)))
    asking.start()
    asking.join()
    assert answers
    assert isinstance(answers[0], str)


async def test_the_model_is_kept_unpacked_for_the_next_process(local: HuggingFaceAdapter, cache: Path) -> None:
    await local.complete(CAPITAL, GREEDY)
    assert list(cache.glob("SmolLM2-135M-Instruct*/model.safetensors"))  # noqa: ASYNC240


async def test_both_models_may_be_wanted_for_the_first_time_at_once_and_none_is_in_the_process_that_asks(
    cache: Path,
) -> None:
    # Model libraries break when two threads import them at once.
    code = (
        "import asyncio, sys, pathlib\n"
        "from adapters.base import SamplingOptions\n"
        "from adapters.huggingface_adapter import HuggingFaceAdapter\n"
        "from adapters.local_config import LocalModelConfig\n"
        "async def main():\n"
        "    config = LocalModelConfig(model='embedded', unpacked_cache=pathlib.Path(sys.argv[1]), timeout_s=180)\n"
        "    adapter = HuggingFaceAdapter(config)\n"
        "    ask = adapter.complete([{'role': 'user', 'content': 'hi'}], SamplingOptions(max_new_tokens=2))\n"
        "    await asyncio.gather(ask, adapter.embed_texts(['hola']))\n"
        "    await adapter.close()\n"
        "asyncio.run(main())\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code, str(cache)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=BACKEND_ROOT, env={**os.environ, "ENV_FILES": "none"}, stdout=subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert (process.returncode, printed.decode().strip()) == (0, "[]")


async def test_a_model_that_is_nowhere_is_unavailable_when_no_other_may_stand_in() -> None:
    config = LocalModelConfig(model="nobody/nothing", offline_model="none", hub_offline=True)
    adapter = HuggingFaceAdapter(config)
    with pytest.raises(TechnicalError) as caught:
        await adapter.complete(CAPITAL, GREEDY)
    await adapter.close()
    assert caught.value.reason == "local_unavailable"


async def test_the_embedded_model_stands_in_for_one_that_is_nowhere(cache: Path) -> None:
    config = LocalModelConfig(model="nobody/nothing", hub_offline=True, unpacked_cache=cache, timeout_s=180)
    adapter = HuggingFaceAdapter(config)
    completion = await adapter.complete(CAPITAL, GREEDY)
    await adapter.close()
    assert (completion.model, completion.degraded) == ("SmolLM2-135M-Instruct", True)


def test_another_embedding_model_never_stands_in() -> None:
    with pytest.raises(TechnicalError):
        resolve_embedding_model(LocalModelConfig(embedding_model="nobody/nothing", hub_offline=True))
    with pytest.raises(TechnicalError):
        embedding_fingerprint(Path(__file__).parent)


def test_no_model_library_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, main; print([m for m in ('torch', 'transformers', 'sentence_transformers') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=BACKEND_ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
