"""LangChain: bound tools, an agent, structured output in all methods, embeddings."""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import LengthFinishReasonError
from settings import Animal, MODEL, URL, weather

SERVICE = {"base_url": f"{URL}/v1", "api_key": "none", "model": MODEL, "max_retries": 0}
chat = ChatOpenAI(**SERVICE, temperature=0, max_tokens=200)
assert chat.invoke("Say hello.").text
assert "".join(chunk.text for chunk in chat.stream("Say hello."))
called = chat.bind_tools([tool(weather)], tool_choice="required").invoke("The weather in Lima?")
assert [call["name"] for call in called.tool_calls] == ["weather"]
for method in ("json_schema", "function_calling"):
    assert isinstance(chat.with_structured_output(Animal, method=method).invoke("Describe a dog."), Animal), method
# Any JSON object: a small model need not come to its end, which the client says.
try:
    found = chat.with_structured_output(Animal, method="json_mode", include_raw=True).invoke("Describe a dog as JSON.")
    assert found["raw"].text.lstrip().startswith("{"), found
except LengthFinishReasonError as error:
    assert error.completion.choices[0].message.content.lstrip().startswith("{"), error.completion
agent = create_agent(ChatOpenAI(**SERVICE, temperature=0, max_tokens=48), [tool(weather)])
assert agent.invoke({"messages": [{"role": "user", "content": "Say hello."}]}, {"recursion_limit": 50})["messages"]
responses = ChatOpenAI(**SERVICE, max_tokens=48, use_responses_api=True, output_version="responses/v1")
assert responses.invoke("Say hello.").text
# Without check_embedding_ctx_length=False LangChain sends token ids of OpenAI's tokenizer.
embeddings = OpenAIEmbeddings(**SERVICE, check_embedding_ctx_length=False)
assert len(embeddings.embed_query("Hola mundo")) == 384
