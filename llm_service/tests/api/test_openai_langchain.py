"""LangChain's OpenAI classes, unchanged, on this service."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from tests.api.openai_clients import LONG, address, idle
from tests.api.service_process import ServiceProcess, eventually

KEY = SecretStr("none")


@pytest.fixture(autouse=True)
def _nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.setenv(name, "false")


def chat_model(service: ServiceProcess, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(base_url=address(service), api_key=KEY, model="default", temperature=0, max_retries=0, **more)


def embedding_model(service: ServiceProcess, **more: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        base_url=address(service),
        api_key=KEY,
        model="default",
        check_embedding_ctx_length=False,
        max_retries=0,
        **more,
    )


@pytest.fixture
def connections() -> Iterator[openai.DefaultHttpxClient]:
    """Connections that are closed: LangChain keeps its own open until the process ends."""
    with openai.DefaultHttpxClient() as client:
        yield client


@pytest.fixture
def chat(service: ServiceProcess, connections: openai.DefaultHttpxClient) -> ChatOpenAI:
    return chat_model(service, http_client=connections)


@pytest.fixture
def embeddings(service: ServiceProcess, connections: openai.DefaultHttpxClient) -> OpenAIEmbeddings:
    return embedding_model(service, http_client=connections)


def test_a_conversation_is_answered(chat: ChatOpenAI) -> None:
    answer = chat.invoke([SystemMessage("be brief"), HumanMessage("a"), AIMessage("b"), HumanMessage("uno dos tres")])
    assert isinstance(answer, AIMessage)
    assert answer.text == "uno dos tres"
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (7, 3)
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == "fake"


def test_a_stream_adds_up(chat: ChatOpenAI) -> None:
    whole: AIMessageChunk | None = None
    count = 0
    for chunk in chat.stream("uno dos tres cuatro", stream_usage=True):
        whole = chunk if whole is None else whole + chunk
        count += 1
    assert whole is not None
    assert whole.text == "uno dos tres cuatro"
    assert count > 4
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 4
    assert whole.response_metadata["finish_reason"] == "stop"


def test_a_batch_is_answered_in_order(chat: ChatOpenAI) -> None:
    answers = chat.batch([f"pregunta {number}" for number in range(6)])
    assert [answer.text for answer in answers] == [f"pregunta {number}" for number in range(6)]


@pytest.mark.anyio
async def test_coroutines_work_too(service: ServiceProcess) -> None:
    async with openai.DefaultAsyncHttpxClient() as connections:
        chat = chat_model(service, http_async_client=connections)
        assert (await chat.ainvoke("uno dos")).text == "uno dos"
        assert "".join([chunk.text async for chunk in chat.astream("uno dos")]) == "uno dos"


def test_leaving_a_stream_frees_its_place(service: ServiceProcess, chat: ChatOpenAI) -> None:
    chunks = chat.stream(LONG, max_tokens=2000)
    next(chunks)
    assert not idle(service)
    chunks.close()  # type: ignore[attr-defined]
    eventually(lambda: idle(service), "its place is free", within_s=5)


def test_tools_are_refused_and_not_forgotten(chat: ChatOpenAI) -> None:
    def weather(city: str) -> str:
        """Say how the weather is."""
        return city

    with pytest.raises(openai.BadRequestError, match="tools: not supported") as caught:
        chat.bind_tools([weather]).invoke("hola")
    assert caught.value.param == "tools"


def test_documents_and_queries_are_embedded(service: ServiceProcess, embeddings: OpenAIEmbeddings) -> None:
    texts = ["hola mundo", "buenos días", "hola mundo"]
    vectors = np.array(embeddings.embed_documents(texts), dtype=np.float32)
    own = service.client.post("/api/llm/embed", json={"texts": texts}).json()["embeddings"]
    assert np.array_equal(vectors, np.array(own, dtype=np.float32))
    assert np.array_equal(np.array(embeddings.embed_query("buenos días"), dtype=np.float32), vectors[1])


@pytest.mark.anyio
async def test_documents_are_embedded_by_coroutines(service: ServiceProcess) -> None:
    async with openai.DefaultAsyncHttpxClient() as connections:
        embeddings = embedding_model(service, http_async_client=connections)
        assert np.array(await embeddings.aembed_documents(["uno", "dos"])).shape == (2, 384)
