"""Other commands of `dev.py`: tests, checks, benchmarks, models."""
