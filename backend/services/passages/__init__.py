"""Answers from texts in any language: relevance, prompt, check and words of their own; knows no dictionary."""
