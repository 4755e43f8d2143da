"""Log lines, metrics and spans of requests."""
