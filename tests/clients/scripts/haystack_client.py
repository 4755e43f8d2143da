"""Haystack: chat with tools, embeddings."""

from haystack.components.embedders import OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret
from settings import MODEL, PARAMETERS, URL

SERVICE = {"api_key": Secret.from_token("none"), "api_base_url": f"{URL}/v1", "model": MODEL, "max_retries": 0}
question = [ChatMessage.from_user("The weather in Lima?")]
brief = {"max_tokens": 96, "temperature": 0}
assert OpenAIChatGenerator(**SERVICE, generation_kwargs=brief).run(question)["replies"][0].text
pieces = []
OpenAIChatGenerator(**SERVICE, generation_kwargs=brief, streaming_callback=pieces.append).run(question)
assert pieces
weather = Tool("weather", "The weather", PARAMETERS, lambda city: f"sun in {city}")
helped = OpenAIChatGenerator(**SERVICE, tools=[weather], generation_kwargs={**brief, "tool_choice": "required"})
assert helped.run(question)["replies"][0].tool_calls[0].tool_name == "weather"
assert len(OpenAITextEmbedder(**SERVICE).run("Hola mundo")["embedding"]) == 384
