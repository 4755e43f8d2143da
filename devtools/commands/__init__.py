"""Other commands of `dev.py`: checks, benchmarks, models."""
