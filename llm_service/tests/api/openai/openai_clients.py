"""OpenAI's own clients, pointed at a service."""

from typing import Any

from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionUserMessageParam

from tests.api.service_process import ServiceProcess

MODEL = "default"
LONG = "uno [[words:2000]] [[slow:50]]"


def address(service: ServiceProcess) -> str:
    """Return the base URL for clients."""
    return f"http://127.0.0.1:{service.port}/v1"


def sync_client(service: ServiceProcess, *, max_retries: int = 0, key: str = "none") -> OpenAI:
    """Return a client that waits."""
    return OpenAI(base_url=address(service), api_key=key, max_retries=max_retries, timeout=60)


def async_client(service: ServiceProcess) -> AsyncOpenAI:
    """Return a client for coroutines."""
    return AsyncOpenAI(base_url=address(service), api_key="none", max_retries=0, timeout=60)


def user(content: str) -> list[ChatCompletionUserMessageParam]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": content}]


def ask(client: OpenAI, content: str, **fields: Any) -> ChatCompletion:
    """Answer one user message, whole."""
    answer: ChatCompletion = client.chat.completions.create(model=MODEL, messages=user(content), **fields)
    return answer


def texts(answer: ChatCompletion) -> list[str | None]:
    """Return what each choice says, by index."""
    return [choice.message.content for choice in sorted(answer.choices, key=lambda choice: choice.index)]
