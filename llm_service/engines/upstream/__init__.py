"""Client of OpenAI-compatible servers: an upstream's, and the one inside llama.cpp's worker."""
