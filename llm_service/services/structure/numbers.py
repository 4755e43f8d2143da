"""Numbers between bounds, as expressions over digits."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from services.structure.expressions import EMPTY, NEVER, Chars, Expression, Literal, alt, optional, repeat, seq

SAFE_DIGITS = 15
"""Digits that a double holds exactly; longer numbers are written only where a bound asks for them."""
DIGIT = Chars(((0x30, 0x39),))


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range; ``open`` where the value itself is outside."""

    value: Decimal
    open: bool = False


def integers(low: Bound | None, high: Bound | None) -> Expression:
    """Return the integers between two bounds."""
    first = None if low is None else _whole(low.value, ROUND_CEILING) + (low.open and low.value == int(low.value))
    last = None if high is None else _whole(high.value, ROUND_FLOOR) - (high.open and high.value == int(high.value))
    return _integers(first, last)


def decimals(low: Bound | None, high: Bound | None) -> Expression:
    """Return the numbers between two bounds, with fractions; without bounds also with exponents."""
    if low is None and high is None:
        exponent = seq(Chars(((0x45, 0x45), (0x65, 0x65))), optional(alt("+", "-")), repeat(DIGIT, 1, 2))
        whole = seq(optional(Literal("-")), _naturals(0, None))
        return seq(whole, optional(seq(".", repeat(DIGIT, 1, SAFE_DIGITS))), optional(exponent))
    zero = Bound(Decimal(0))
    options: list[Expression] = []
    if low is None or low.value < 0:
        mirrored = None if high is None or high.value >= 0 else Bound(-high.value, high.open)
        downwards = None if low is None else Bound(-low.value, low.open)
        options.append(seq("-", _positive(mirrored or Bound(Decimal(0), open=True), downwards)))
    if high is None or high.value >= 0:
        options.append(_positive(low if low is not None and low.value >= 0 else zero, high))
    return alt(*options)


def _whole(value: Decimal, rounding: str) -> int:
    return int(value.to_integral_value(rounding=rounding))


def _integers(low: int | None, high: int | None) -> Expression:
    """Return the integers from ``low`` to ``high``, both included; an open side ends where doubles are exact."""
    options: list[Expression] = []
    if low is None or low < 0:
        downwards = None if low is None else -low
        upwards = 1 if high is None or high >= 0 else -high
        options.append(seq("-", _naturals(upwards, downwards)))
    if high is None or high >= 0:
        options.append(_naturals(max(low or 0, 0), high))
    return alt(*options)


def _naturals(low: int, high: int | None) -> Expression:
    if high is None and low <= 1:
        positive = seq(Chars(((0x31, 0x39),)), repeat(DIGIT, 0, SAFE_DIGITS - 1))
        return positive if low else alt("0", positive)
    if high is None:
        digits = len(str(low))
        high = 10 ** (SAFE_DIGITS if digits <= SAFE_DIGITS else digits + 1) - 1
    options: list[Expression] = []
    for length in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (length - 1) if length > 1 else 0)
        most = min(high, 10**length - 1)
        if least <= most:
            options.append(_digits(str(least), str(most), length, fewest=length))
    return alt(*options)


def _positive(low: Bound, high: Bound | None) -> Expression:
    """Return the numbers from ``low``, which is not negative, to ``high``."""
    if high is not None and (high.value < low.value or (high.value == low.value and (high.open or low.open))):
        return NEVER
    first, last = int(low.value), None if high is None else int(high.value)
    digits = max(0, SAFE_DIGITS - len(str(last or first)))
    below, above = _fraction_digits(low.value), "" if high is None else _fraction_digits(high.value)
    digits = max(digits, *(len(each) + 1 for each in (below, above) if each), 0)
    if last == first:
        assert high is not None
        return seq(str(first), _fraction(below, above, digits, above_low=low.open, below_high=high.open))
    options: list[Expression] = [seq(str(first), _fraction(below, None, digits, above_low=low.open))]
    if last is None or last - first > 1:
        options.append(seq(_naturals(first + 1, None if last is None else last - 1), _fraction("", None, digits)))
    if high is not None:
        options.append(seq(str(last), _fraction("", above, digits, below_high=high.open)))
    return alt(*options)


def _fraction_digits(value: Decimal) -> str:
    return f"{value % 1:f}".partition(".")[2].rstrip("0")


def _fraction(
    low: str, high: str | None, digits: int, *, above_low: bool = False, below_high: bool = False
) -> Expression:
    """Return nothing, or a point and up to ``digits`` digits, so that the value lies between two fractions."""
    return alt(
        EMPTY if _may_stop(low, high, above_low=above_low, below_high=below_high) else NEVER,
        seq(".", _digits(low, high, digits, above_low=above_low, below_high=below_high)),
    )


def _may_stop(low: str, high: str | None, *, above_low: bool, below_high: bool) -> bool:
    return not low and not above_low and (high is None or bool(high) or not below_high)


def _digits(
    low: str, high: str | None, count: int, *, fewest: int = 1, above_low: bool = False, below_high: bool = False
) -> Expression:
    """Return ``fewest`` to ``count`` digits whose value as a fraction lies between two others."""
    if count == 0:
        return NEVER
    low = low.rstrip("0")
    if high == "9" * count and not below_high:
        high = None
    if not low and not above_low and high is None:
        return repeat(DIGIT, max(1, fewest), count)
    by_rest: dict[tuple[str, str | None, bool, bool], list[int]] = {}
    first, last = int(low[:1] or "0"), 9 if high is None else int(high[:1] or "0")
    for digit in range(first, last + 1):
        at_low, at_high = digit == first, high is not None and digit == last
        key = (
            low[1:] if at_low else "",
            (high or "")[1:] if at_high else None,
            above_low and at_low,
            below_high and at_high,
        )
        by_rest.setdefault(key, []).append(digit)
    options: list[Expression] = []
    for (rest_low, rest_high, above, below), found in by_rest.items():
        chosen = Chars(((0x30 + found[0], 0x30 + found[-1]),))
        if fewest <= 1 and _may_stop(rest_low, rest_high, above_low=above, below_high=below):
            options.append(chosen)
        # Zeros behind the largest fraction add nothing.
        if rest_high != "":
            rest = _digits(rest_low, rest_high, count - 1, fewest=fewest - 1, above_low=above, below_high=below)
            options.append(seq(chosen, rest))
    return alt(*options)
