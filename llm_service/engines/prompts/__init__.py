"""What engines do to a conversation before a model reads it, and to find its parts again."""
