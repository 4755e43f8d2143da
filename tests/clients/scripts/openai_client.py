"""OpenAI's own client, of either major version."""

import json

from openai import BadRequestError, NotFoundError, OpenAI
from settings import Animal, MODEL, PARAMETERS, QUESTION, TOOL, URL

client = OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)

answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=16, temperature=0)
assert answer.choices[0].message.content
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

chunks = list(
    client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=16, stream=True, stream_options={"include_usage": True}
    )
)
assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert chunks[-1].usage.completion_tokens > 0

called = client.chat.completions.create(
    model=MODEL, messages=QUESTION, tools=[TOOL], tool_choice="required", max_tokens=96, temperature=0
)
(call,) = called.choices[0].message.tool_calls
assert call.function.name == "weather"
json.loads(call.function.arguments)
back = [
    *QUESTION,
    called.choices[0].message.model_dump(exclude_none=True),
    {"role": "tool", "tool_call_id": call.id, "content": "sun"},
]
assert client.chat.completions.create(model=MODEL, messages=back, tools=[TOOL], max_tokens=16).choices

parsed = client.chat.completions.parse(
    model=MODEL, messages=QUESTION, response_format=Animal, max_tokens=200, temperature=0
)
assert isinstance(parsed.choices[0].message.parsed, Animal)

response = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=32, temperature=0)
assert response.output_text
assert isinstance(
    client.responses.parse(model=MODEL, input="Describe a dog.", text_format=Animal, temperature=0).output_parsed,
    Animal,
)
flat = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}
with client.responses.stream(
    model=MODEL, input="The weather in Lima?", tools=[flat], tool_choice="required", temperature=0
) as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_response()
assert kinds[-1] == "response.completed", kinds
assert final.output[0].type == "function_call"
try:
    client.responses.create(model=MODEL, input="more", previous_response_id="resp_1")
except BadRequestError as error:
    assert error.param == "previous_response_id"
else:
    raise AssertionError("previous_response_id is refused")

assert client.completions.create(model=MODEL, prompt="The capital of Peru is", max_tokens=4).choices[0].text
vectors = client.embeddings.create(model=MODEL, input=["Hola mundo", "Buenos días"])
assert [len(each.embedding) for each in vectors.data] == [384, 384]
assert client.models.list().data
try:
    client.audio.speech.create(model=MODEL, voice="alloy", input="x")
except NotFoundError as error:
    assert "/v1/chat/completions" in str(error)
else:
    raise AssertionError("there is no speech")
