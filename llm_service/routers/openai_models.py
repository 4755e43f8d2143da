"""By which names the two models are known on ``/v1``."""

from dataclasses import dataclass

from config.settings import Settings
from routers.openai_errors import model_not_found
from services.llm_service import LLMService

ANY = "default"
"""The name for whatever is loaded; clients must send one."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model and the names it answers to: its own, the configured one, ``default``."""

    id: str
    names: frozenset[str]

    @property
    def owner(self) -> str:
        """The organisation that publishes it; ``local`` for one that has none in its name."""
        owner, _, name = self.id.partition("/")
        return owner if owner and name and "/" not in name else "local"

    def check(self, name: str) -> None:
        """Raise the refusal for a request that names another model."""
        if name not in self.names:
            raise model_not_found(name, (self.id, ANY))


def chat_model(service: LLMService, config: Settings) -> ServedModel:
    """The model that chats, loaded or about to be."""
    return ServedModel(service.model_name, frozenset({service.model_name, config.llm_model, ANY}))


def embedding_model(service: LLMService, config: Settings) -> ServedModel:
    """The model that embeds, loaded or about to be."""
    info = service.health().embedder_info
    name = info.model if info else config.embedding_model
    return ServedModel(name, frozenset({name, config.embedding_model, ANY}))
