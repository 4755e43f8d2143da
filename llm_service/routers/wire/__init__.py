"""Translation between wire models and the service's types."""
