"""``/v1/models``, and the names of models on ``/v1``."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field

from routers.dependencies import Service
from routers.error_docs import openai_responses
from schemas.common import WireModel
from services.errors import ModelNotFound
from services.llm_service import LLMService
from workers.worker import Role

ANY = "default"
"""Alias of the loaded model, for clients that must send a name."""

router = APIRouter(prefix="/v1", tags=["OpenAI"])


def check_model(service: LLMService, role: Role, name: str) -> None:
    """Raise ``ModelNotFound`` for a name that is not that of the role's model."""
    model = service.name(role)
    if model is not None and not _answers_to(service, role, name):
        raise _not_found(name, model, ANY)


def _answers_to(service: LLMService, role: Role, name: str) -> bool:
    return name in (service.name(role), service.requested[role], ANY)


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
async def models(request: Request, service: Service) -> ModelList:
    """List the chat model, the embedding model and the one that ranks."""
    names = dict.fromkeys(map(service.name, service.workers))
    return ModelList(object="list", data=[_model_card(request, name) for name in names if name])


@router.get(
    "/models/{model:path}",
    responses=openai_responses(401, 404, 405),
    summary="One model by its name",
    response_description="The model",
)
async def model(model: Annotated[str, Path(examples=["default"])], request: Request, service: Service) -> Model:
    """Describe the model with this name, which may contain slashes."""
    names = {role: service.name(role) or "" for role in service.workers}
    for role, name in names.items():
        if _answers_to(service, role, model):
            return _model_card(request, name)
    raise _not_found(model, *names.values())


def _not_found(name: str, *known: str) -> ModelNotFound:
    return ModelNotFound(f"{name!r} does not exist here; there is {', '.join(map(repr, known))}", field="model")


def _model_card(request: Request, name: str) -> Model:
    owner, _, rest = name.partition("/")
    owned_by = owner if owner and rest and "/" not in rest else "local"
    return Model(id=name, object="model", created=request.app.state.started_at, owned_by=owned_by)
