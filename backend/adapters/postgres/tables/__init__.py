"""The tables: what is written into each and read from it, except the search."""
