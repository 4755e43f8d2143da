"""Spelling of Spanish and Bora: folding, index keys, ranking."""
