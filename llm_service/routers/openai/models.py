"""``/v1/models``, and the names of models on ``/v1``."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field

from config.settings import Settings
from routers.dependencies import Config, Service
from routers.error_docs import openai_responses
from routers.openai.errors import model_not_found
from schemas.common import WireModel
from services.llm_service import LLMService

ANY = "default"
"""Alias of the loaded model, for clients that must send a name."""

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model, and the configured one's name, which it answers to as well."""

    id: str
    configured: str

    def answers_to(self, name: str) -> bool:
        """Whether a request that names a model so means this one."""
        return name in (self.id, self.configured, ANY)

    def check(self, name: str) -> None:
        """Raise ``Refusal`` for the name of another model."""
        if not self.answers_to(name):
            raise model_not_found(name, (self.id, ANY))


def chat_model(service: LLMService, config: Settings) -> ServedModel:
    """Return the chat model, loaded or loading."""
    return ServedModel(service.model_name, config.llm_model)


def embedding_model(service: LLMService, config: Settings) -> ServedModel:
    """Return the embedding model, loaded or loading."""
    info = service.info("embedder")
    return ServedModel(info.model if info else config.embedding_model, config.embedding_model)


def rerank_model(service: LLMService, config: Settings) -> ServedModel | None:
    """Return the model that ranks, loaded or loading; ``None`` where none is configured."""
    if config.rerank_model is None:
        return None
    info = service.info("reranker")
    return ServedModel(info.model if info else config.rerank_model, config.rerank_model)


class Model(WireModel):
    """A served model."""

    id: str
    object: Literal["model"]
    created: int = Field(description="When the service was started, in seconds since 1970")
    owned_by: str = Field(description="Who publishes it, or local")


class ModelList(WireModel):
    """The served models, the chat model first."""

    object: Literal["list"]
    data: list[Model]


@router.get(
    "/models", responses=openai_responses(401, 405), summary="What is served", response_description="The models"
)
async def models(request: Request, service: Service, config: Config) -> ModelList:
    """List the chat model, the embedding model and the one that ranks."""
    served = {model.id: model for model in _served(service, config)}
    return ModelList(object="list", data=[_model_card(request, model) for model in served.values()])


@router.get(
    "/models/{model:path}",
    responses=openai_responses(401, 404, 405),
    summary="One model by its name",
    response_description="The model",
)
async def model(
    model: Annotated[str, Path(examples=["default"])], request: Request, service: Service, config: Config
) -> Model:
    """Describe the model with this name, which may contain slashes."""
    served = _served(service, config)
    for candidate in served:
        if candidate.answers_to(model):
            return _model_card(request, candidate)
    raise model_not_found(model, [candidate.id for candidate in served])


def _served(service: LLMService, config: Settings) -> list[ServedModel]:
    every = (chat_model(service, config), embedding_model(service, config), rerank_model(service, config))
    return [model for model in every if model is not None]


def _model_card(request: Request, model: ServedModel) -> Model:
    owner, _, name = model.id.partition("/")
    owned_by = owner if owner and name and "/" not in name else "local"
    return Model(id=model.id, object="model", created=request.app.state.started_at, owned_by=owned_by)
