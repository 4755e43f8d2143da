"""What `dev.py` does beside set-up, start, tests and doctor: checks, benchmarks, models."""
