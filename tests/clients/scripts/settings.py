"""What the scripts share: the service's address, a question, a type and a tool; ``MODEL`` is whichever is loaded."""

import os
from typing import Literal

from pydantic import BaseModel

URL = os.environ["SERVICE_URL"]
MODEL = "default"
QUESTION = [{"role": "user", "content": "Describe a dog: its name and how many legs it has."}]
PARAMETERS = {"type": "object", "properties": {"city": {"enum": ["Lima", "Iquitos"]}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": PARAMETERS}}


class Animal(BaseModel):
    """An animal."""

    name: Literal["Rex", "Luna"]
    tame: bool


def weather(city: Literal["Lima", "Iquitos"]) -> str:
    """Say how the weather is in a city."""
    return f"sun in {city}"
