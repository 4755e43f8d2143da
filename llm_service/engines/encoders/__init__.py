"""Models that read a text at once and give numbers: what embedders and rerankers have in common."""
