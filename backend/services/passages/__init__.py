"""Answers from texts in any language: relevance, prompt, check and words, independent of the dictionary."""
