"""A generated answer: from a cache, from an identical running request or from the engine; its thought and calls."""
