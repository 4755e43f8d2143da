"""Sizes as people read them."""


def human(size: float) -> str:
    """Write a number of bytes with three digits and a unit of a thousand: ``1.07 GB``."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def human_count(number: float) -> str:
    """Write a number of parameters: ``135M``, ``1.7B``."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}B"
