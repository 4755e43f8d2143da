"""What a text must be: JSON schemas, regular expressions and tool calls as one grammar that every engine enforces."""
