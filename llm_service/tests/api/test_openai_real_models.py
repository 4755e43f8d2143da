"""OpenAI's and LangChain's clients with the embedded models behind them."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import OpenAI
from pydantic import BaseModel, SecretStr

from tests.api.openai_clients import MODEL, address, sync_client, user
from tests.api.service_process import ServiceProcess, running_service

pytestmark = pytest.mark.model

KEY = SecretStr("none")
DOG = "Describe a dog: its name, how many legs it has and its kind."


class Animal(BaseModel):
    name: str
    legs: int
    kind: Literal["mammal", "bird", "fish"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    cache = tmp_path_factory.mktemp("cache")
    with running_service(
        LLM_BACKEND="openvino",
        LLM_MODEL="embedded",
        EMBEDDING_BACKEND="auto",
        HF_HUB_OFFLINE="1",
        HF_HOME=str(cache / "hf"),
        MODEL_CACHE_DIR=str(cache),
    ) as service:
        yield service


@pytest.fixture(scope="module")
def client(real: ServiceProcess) -> Iterator[OpenAI]:
    with sync_client(real) as one:
        yield one


@pytest.fixture(scope="module")
def connections() -> Iterator[openai.DefaultHttpxClient]:
    with openai.DefaultHttpxClient() as one:
        yield one


def test_both_models_are_listed_by_their_own_names(client: OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert listed == {
        "HuggingFaceTB/SmolLM2-135M-Instruct": "HuggingFaceTB",
        "sentence-transformers/all-MiniLM-L6-v2": "sentence-transformers",
    }
    assert all(client.models.retrieve(name).id == name for name in listed)


def test_it_knows_a_capital(client: OpenAI) -> None:
    chunks = client.chat.completions.create(
        model=MODEL,
        messages=user("What is the capital of France? Answer in one short sentence."),
        temperature=0,
        max_tokens=24,
        stream=True,
    )
    assert "Paris" in "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.mark.parametrize("temperature", [0, 1])
def test_an_answer_follows_a_schema(client: OpenAI, temperature: int) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=user(DOG), response_format=Animal, temperature=temperature, seed=3, max_tokens=200
    )
    animal = answer.choices[0].message.parsed
    assert animal is not None
    assert animal.name
    assert answer.system_fingerprint


def test_a_streamed_answer_follows_a_schema(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=user(DOG), response_format=Animal, temperature=0, max_tokens=200
    ) as stream:
        animal = stream.get_final_completion().choices[0].message.parsed
    assert isinstance(animal, Animal)


def test_langchain_gets_structured_output(real: ServiceProcess, connections: openai.DefaultHttpxClient) -> None:
    chat = ChatOpenAI(
        base_url=address(real),
        api_key=KEY,
        model=MODEL,
        temperature=0,
        max_completion_tokens=200,
        http_client=connections,
    )
    assert isinstance(chat.with_structured_output(Animal, method="json_schema").invoke(DOG), Animal)


def test_langchain_finds_similar_meanings(real: ServiceProcess, connections: openai.DefaultHttpxClient) -> None:
    embeddings = OpenAIEmbeddings(
        base_url=address(real),
        api_key=KEY,
        model="sentence-transformers/all-MiniLM-L6-v2",
        check_embedding_ctx_length=False,
        http_client=connections,
    )
    texts = ["The dog sleeps in the house", "A puppy is napping at home", "The stock market fell sharply"]
    vectors = np.array(embeddings.embed_documents(texts))
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
