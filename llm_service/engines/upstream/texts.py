"""A server's tokenizer: vLLM's ``/tokenize`` and ``/detokenize``, llama.cpp's of the same names."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from engines.errors import ModelUnavailable, Unsupported
from engines.events import Detokenized, Tokenized
from engines.requests import DetokenizeRequest, TokenizeRequest
from engines.upstream.client import CompletionClient
from engines.upstream.faults import malformed
from engines.upstream.wire import completion_body


class TokenizerAnswer(BaseModel):
    """What either kind of server answers: ids, or a text by one of two names."""

    model_config = ConfigDict(strict=True, extra="ignore")

    tokens: tuple[int, ...] = ()
    prompt: str | None = None
    content: str | None = None


async def tokenize(client: CompletionClient, request: TokenizeRequest, model: str) -> Tokenized:
    """Ask a server of vLLM's kind; raises ``ServiceError``."""
    if request.conversation is None:
        body: dict[str, Any] = {"prompt": request.text, "add_special_tokens": request.special}
    else:
        whole = completion_body(request.conversation, model, template_arguments=True)
        body = {name: whole[name] for name in ("messages", "chat_template_kwargs")}
    return Tokenized(request.id, (await ask_tokenizer(client, "tokenize", {"model": model, **body})).tokens)


async def detokenize(client: CompletionClient, request: DetokenizeRequest, model: str) -> Detokenized:
    """Ask a server of vLLM's kind; raises ``ServiceError``."""
    answer = await ask_tokenizer(client, "detokenize", {"model": model, "tokens": list(request.tokens)})
    return Detokenized(request.id, answer.prompt or "")


async def ask_tokenizer(client: CompletionClient, path: str, body: dict[str, Any]) -> TokenizerAnswer:
    """POST to a route of the tokenizer; raises ``ServiceError``."""
    try:
        return TokenizerAnswer.model_validate_json(await client.call(f"{client.origin}/{path}", body))
    except ModelUnavailable as error:
        raise Unsupported("the upstream has no tokenizer to ask") from error
    except ValidationError as error:
        raise malformed("no tokens") from error
