"""What is recorded of a request: log lines, metrics and spans."""
