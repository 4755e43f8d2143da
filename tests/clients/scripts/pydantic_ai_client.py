"""Pydantic AI: plain, ``output_type``, tools, native output; chat completions and responses."""

from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior, UsageLimitExceeded
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits
from settings import Animal, MODEL, URL, weather

provider = OpenAIProvider(base_url=f"{URL}/v1", api_key="none")
SETTINGS = {"temperature": 0.0, "max_tokens": 200}
for kind in (OpenAIChatModel, OpenAIResponsesModel):
    model = kind(MODEL, provider=provider)
    assert Agent(model, model_settings=SETTINGS).run_sync("Say hello.").output
    assert isinstance(
        Agent(model, output_type=Animal, model_settings=SETTINGS).run_sync("Describe a dog.").output, Animal
    )
    native = Agent(model, output_type=NativeOutput(Animal), model_settings=SETTINGS)
    assert isinstance(native.run_sync("Describe a dog.").output, Animal)
    helped = Agent(model, model_settings=SETTINGS)
    helped.tool_plain(weather)
    # A small model may go on calling; that every request was accepted is what counts.
    try:
        helped.run_sync("The weather in Lima?", usage_limits=UsageLimits(request_limit=3))
    except (UsageLimitExceeded, UnexpectedModelBehavior) as error:
        assert "400" not in str(error), error
