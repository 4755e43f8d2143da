"""What is wrong with a caller's schema, with the place inside it."""


class BadSchema(ValueError):
    """It is no schema, or nothing can follow it. ``path`` is a JSON pointer into it: ``/properties/age``."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UnsupportedSchema(BadSchema):
    """A legal schema with a keyword that cannot be enforced."""


def pointer(path: str, *parts: object) -> str:
    """Return the JSON pointer of a place below ``path``."""
    return path + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
