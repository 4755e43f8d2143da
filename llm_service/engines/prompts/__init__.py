"""Preparation of conversations for models, and parsing of the markers in their answers."""
