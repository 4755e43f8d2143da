"""Tests of the LLM service."""
