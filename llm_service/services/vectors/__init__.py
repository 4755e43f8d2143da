"""Vectors of texts, and the cache of those computed before."""
