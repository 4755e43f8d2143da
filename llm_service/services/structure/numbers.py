"""Numbers between bounds, as expressions over digits.

A number is counted in units of its last decimal place: bounds become integers, and an open bound the next one.
"""

import math
from fractions import Fraction
from itertools import count
from typing import NamedTuple

from services.structure.expressions import EMPTY, Chars, Expression, Literal, alt, optional, repeat, seq

SAFE_DIGITS = 15
"""Digits that a double holds exactly; longer numbers are written only where a bound asks for them."""
DIGIT, NOT_ZERO = Chars(((0x30, 0x39),)), Chars(((0x31, 0x39),))


class Bound(NamedTuple):
    """One end of a range; ``open`` where the value itself is outside."""

    value: Fraction
    open: bool = False


def integers(low: Bound | None, high: Bound | None) -> Expression:
    """Return the integers between two bounds; an open side ends where doubles are exact."""
    return _between(low, high, 0)


def decimals(low: Bound | None, high: Bound | None) -> Expression:
    """Return the numbers between two bounds, with fractions; without bounds also with exponents."""
    values = [bound.value for bound in (low, high) if bound is not None]
    if values:
        whole_digits = max(len(str(int(abs(value)))) for value in values)
        # One place more than a bound has, so that there are numbers beyond an open one.
        places = max(SAFE_DIGITS - whole_digits, *(_places(value) + 1 for value in values if value.denominator > 1), 0)
        return _between(low, high, places)
    exponent = seq(Chars(((0x45, 0x45), (0x65, 0x65))), optional(alt("+", "-")), repeat(DIGIT, 1, 2))
    return seq(optional(Literal("-")), _naturals(0, None, 0), _any_fraction(SAFE_DIGITS), optional(exponent))


def _places(value: Fraction) -> int:
    return next(places for places in count() if (value * 10**places).denominator == 1)


def _between(low: Bound | None, high: Bound | None, places: int) -> Expression:
    """Return the numbers with at most ``places`` decimal places between two bounds."""
    first = last = None
    if low is not None:
        units = low.value * 10**places
        first = math.floor(units) + 1 if low.open else math.ceil(units)
    if high is not None:
        units = high.value * 10**places
        last = math.ceil(units) - 1 if high.open else math.floor(units)
    options: list[Expression] = []
    if first is None or first < 0:
        least = 1 if last is None else max(1, -last)
        options.append(seq("-", _naturals(least, None if first is None else -first, places)))
    if last is None or last >= 0:
        options.append(_naturals(max(first or 0, 0), last, places))
    return alt(*options)


def _naturals(low: int, high: int | None, places: int) -> Expression:
    """Return the numbers from ``low`` to ``high`` units, both included."""
    unit = 10**places
    length = len(str(low // unit))
    if high is None:
        longer = seq(NOT_ZERO, repeat(DIGIT, length, SAFE_DIGITS - 1), _any_fraction(places))
        same = _naturals(low, unit * 10**length - 1, places)
        return alt(same, longer) if length < SAFE_DIGITS else same
    options: list[Expression] = []
    for digits in range(length, len(str(high // unit)) + 1):
        least = max(low, unit * 10 ** (digits - 1) if digits > 1 else 0)
        most = min(high, unit * 10**digits - 1)
        if least <= most:
            width = digits + places
            options.append(_digits(f"{least:0{width}}", f"{most:0{width}}", places))
    return alt(*options)


def _digits(low: str, high: str, places: int) -> Expression:
    """Return the digits between two texts of the same length; the last ``places`` are a fraction, which may be left out
    from where ``low`` has only zeros.
    """
    left = len(low)
    may_end = left <= places and not low.strip("0")
    if may_end and not high.strip("0"):
        return EMPTY
    if not low.strip("0") and not high.strip("9"):
        if left < places:
            return repeat(DIGIT, 0, left)
        return seq(repeat(DIGIT, left - places, left - places), _any_fraction(places))
    by_rest: dict[tuple[str, str], list[int]] = {}
    first, last = int(low[0]), int(high[0])
    for digit in range(first, last + 1):
        rest = (low[1:] if digit == first else "0" * (left - 1), high[1:] if digit == last else "9" * (left - 1))
        by_rest.setdefault(rest, []).append(0x30 + digit)
    point = Literal(".") if left == places else EMPTY
    options = [seq(point, Chars(((codes[0], codes[-1]),)), _digits(*rest, places)) for rest, codes in by_rest.items()]
    return alt(*([EMPTY] if may_end else []), *options)


def _any_fraction(places: int) -> Expression:
    return optional(seq(".", repeat(DIGIT, 1, places))) if places else EMPTY
