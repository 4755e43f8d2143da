"""Instructor in its default mode (tools)."""

import instructor
from openai import OpenAI
from settings import Animal, MODEL, URL

client = instructor.from_openai(OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0))
question = [{"role": "user", "content": "Describe a dog."}]
found = client.chat.completions.create(
    model=MODEL, messages=question, response_model=Animal, max_tokens=200, temperature=0, max_retries=0
)
assert isinstance(found, Animal)
