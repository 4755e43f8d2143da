"""``/v1/models``."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from routers.dependencies import Config, Service
from routers.error_docs import openai_responses
from routers.openai.errors import model_not_found
from routers.openai.models.names import ServedModel, served_models
from routers.openai.models.schemas import Model, ModelList

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.get(
    "/models",
    response_model=ModelList,
    responses=openai_responses(401, 405),
    summary="What is served",
    response_description="The models",
)
async def models(request: Request, service: Service, config: Config) -> ModelList:
    """List the chat model, the embedding model and the one that ranks."""
    served = {model.id: model for model in served_models(service, config)}
    return ModelList(object="list", data=[_model_card(request, model) for model in served.values()])


@router.get(
    "/models/{model:path}",
    response_model=Model,
    responses=openai_responses(401, 404, 405),
    summary="One model by its name",
    response_description="The model",
)
async def model(
    model: Annotated[str, Path(examples=["default"])], request: Request, service: Service, config: Config
) -> Model:
    """Describe the model with this name, which may contain slashes."""
    served = served_models(service, config)
    for candidate in served:
        if model in candidate.names:
            return _model_card(request, candidate)
    raise model_not_found(model, [candidate.id for candidate in served])


def _model_card(request: Request, model: ServedModel) -> Model:
    created: int = request.app.state.started_at
    return Model(id=model.id, object="model", created=created, owned_by=model.owner)
