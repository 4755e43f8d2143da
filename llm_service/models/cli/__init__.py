"""The models on this machine, for people and programs: list, describe, fetch."""
