"""ASGI middleware of both apps, outermost ``RequestContext``."""
