"""llama.cpp: its own server, in the generator's worker process, serves every GGUF file."""
