"""Environments of the apps: interpreters, packages, locks."""
