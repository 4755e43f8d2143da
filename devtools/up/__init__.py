"""`dev.py up`."""
