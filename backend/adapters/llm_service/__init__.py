"""HTTP client of the LLM service."""
