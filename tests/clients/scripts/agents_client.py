"""OpenAI Agents, whose default is ``/v1/responses``."""

import asyncio

from agents import Agent, MaxTurnsExceeded, ModelSettings, Runner, function_tool, set_default_openai_client
from agents import set_tracing_disabled
from openai import AsyncOpenAI
from settings import Animal, MODEL, URL, weather


async def main() -> None:
    set_tracing_disabled(True)
    set_default_openai_client(AsyncOpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0), use_for_tracing=False)
    brief = ModelSettings(temperature=0, max_tokens=200)
    plain = Agent(name="plain", model=MODEL, model_settings=brief)
    assert (await Runner.run(plain, "Say hello.")).final_output
    streamed = Runner.run_streamed(plain, "Say hello.")
    kinds = [event.type async for event in streamed.stream_events()]
    assert "raw_response_event" in kinds
    assert streamed.final_output
    typed = Agent(name="typed", model=MODEL, output_type=Animal, model_settings=brief)
    assert isinstance((await Runner.run(typed, "Describe a dog.")).final_output, Animal)
    must = ModelSettings(temperature=0, max_tokens=200, tool_choice="required")
    helped = Agent(name="helped", model=MODEL, tools=[function_tool(weather)], model_settings=must)
    try:
        result = await Runner.run(helped, "The weather in Lima?", max_turns=3)
        assert any(item.type == "tool_call_item" for item in result.new_items)
    except MaxTurnsExceeded as error:
        assert any(item.type == "tool_call_item" for item in error.run_data.new_items)


asyncio.run(main())
