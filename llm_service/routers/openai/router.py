"""``/v1/*``: one router for each of OpenAI's endpoints, and the paths that are not there."""

from routers.openai.chat.router import router as chat
from routers.openai.completions.router import router as completions
from routers.openai.embeddings.router import router as embeddings
from routers.openai.models.router import router as models
from routers.openai.responses.router import router as responses
from routers.openai.tokens.router import router as tokens

ROUTERS = (chat, responses, completions, embeddings, models, tokens)
