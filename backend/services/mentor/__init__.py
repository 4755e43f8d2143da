"""The Bora dictionary mentor."""
