"""Instructor in its default mode (tools)."""

from typing import Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel
from settings import MODEL, URL


class Animal(BaseModel):
    """An animal."""

    name: Literal["Rex", "Luna"]
    tame: bool


client = instructor.from_openai(OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0))
question = [{"role": "user", "content": "Describe a dog."}]
found = client.chat.completions.create(
    model=MODEL, messages=question, response_model=Animal, max_tokens=200, temperature=0, max_retries=0
)
assert isinstance(found, Animal)
