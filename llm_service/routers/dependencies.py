"""Dependencies of every endpoint; coroutines, because FastAPI runs plain functions in a thread each."""

from typing import Annotated

from fastapi import Depends, Request

from config.settings import Settings
from services.llm_service import LLMService


async def get_service(request: Request) -> LLMService:
    """Return the application's service."""
    service: LLMService = request.app.state.llm_service
    return service


async def get_settings(request: Request) -> Settings:
    """Return the application's settings."""
    config: Settings = request.app.state.settings
    return config


Service = Annotated[LLMService, Depends(get_service)]
Config = Annotated[Settings, Depends(get_settings)]
