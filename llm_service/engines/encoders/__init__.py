"""Encoder models: shared parts of embedders and rerankers."""
