"""Structured output: JSON schemas, regular expressions and tool calls as one grammar that every engine enforces."""
