"""OpenAI's client with the embedded models behind it."""

from collections.abc import Iterator
from typing import Literal

import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.api.dialect.raw_text import check_raw_text
from tests.api.openai_clients import MODEL, sync_client, user
from tests.api.service_process import ServiceProcess

pytestmark = pytest.mark.model

DOG = "Describe a dog: its name, how many legs it has and its kind."


class Animal(BaseModel):
    name: str
    legs: int
    kind: Literal["mammal", "bird", "fish"]


@pytest.fixture(scope="module")
def client(real: ServiceProcess) -> Iterator[OpenAI]:
    with sync_client(real) as one:
        yield one


def test_both_models_are_listed_by_their_own_names(client: OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert listed == {
        "HuggingFaceTB/SmolLM2-135M-Instruct": "HuggingFaceTB",
        "sentence-transformers/all-MiniLM-L6-v2": "sentence-transformers",
    }
    assert all(client.models.retrieve(name).id == name for name in listed)


def test_texts_without_a_template(real: ServiceProcess) -> None:
    check_raw_text(real)


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
