"""Local models, each in a child process that speaks ``/api/llm/*`` on loopback."""
