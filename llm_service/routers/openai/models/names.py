"""Names of the models on ``/v1``."""

from dataclasses import dataclass

from config.settings import Settings
from routers.openai.errors import model_not_found
from services.llm_service import LLMService

ANY = "default"
"""Name of the loaded model, whichever it is; clients must send a name."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model and its accepted names: its own, the configured one, ``default``."""

    id: str
    names: frozenset[str]

    @property
    def owner(self) -> str:
        """The organisation in the model's name; ``local`` if there is none."""
        owner, _, name = self.id.partition("/")
        return owner if owner and name and "/" not in name else "local"

    def check(self, name: str) -> None:
        """Raise ``Refusal`` for any other name."""
        if name not in self.names:
            raise model_not_found(name, (self.id, ANY))


def chat_model(service: LLMService, config: Settings) -> ServedModel:
    """Return the chat model, loaded or loading."""
    return ServedModel(service.model_name, frozenset({service.model_name, config.llm_model, ANY}))


def embedding_model(service: LLMService, config: Settings) -> ServedModel:
    """Return the embedding model, loaded or loading."""
    info = service.health().embedder_info
    name = info.model if info else config.embedding_model
    return ServedModel(name, frozenset({name, config.embedding_model, ANY}))


def rerank_model(service: LLMService, config: Settings) -> ServedModel | None:
    """Return the model that ranks, loaded or loading; ``None`` where none is configured."""
    if config.rerank_model is None:
        return None
    info = service.health().reranker_info
    name = info.model if info else config.rerank_model
    return ServedModel(name, frozenset({name, config.rerank_model, ANY}))


def served_models(service: LLMService, config: Settings) -> list[ServedModel]:
    """Return every model, the chat model first."""
    every = (chat_model(service, config), embedding_model(service, config), rerank_model(service, config))
    return [model for model in every if model is not None]
