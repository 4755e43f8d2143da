"""LlamaIndex's ``OpenAILike``: default, structured, tools, embeddings."""

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from settings import Animal, MODEL, URL, weather

SERVICE = {"api_base": f"{URL}/v1", "api_key": "none", "model": MODEL, "temperature": 0, "max_tokens": 200}
assert OpenAILike(**SERVICE).complete("The capital of Peru is").text
chat = OpenAILike(**SERVICE, is_chat_model=True, is_function_calling_model=True, should_use_structured_outputs=True)
assert chat.chat([ChatMessage(role="user", content="Say hello.")]).message.content
assert "".join(piece.delta or "" for piece in chat.stream_chat([ChatMessage(role="user", content="Say hello.")]))
assert isinstance(chat.as_structured_llm(Animal).complete("Describe a dog.").raw, Animal)
tool = FunctionTool.from_defaults(weather)
called = chat.chat_with_tools([tool], user_msg="The weather in Lima?", tool_required=True)
assert [call.tool_name for call in chat.get_tool_calls_from_response(called)] == ["weather"]
embedder = OpenAILikeEmbedding(model_name=MODEL, api_base=f"{URL}/v1", api_key="none")
assert len(embedder.get_text_embedding("Hola mundo")) == 384
