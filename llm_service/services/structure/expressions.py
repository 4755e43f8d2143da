"""Grammars: expressions over characters, rules, and their EBNF as llama.cpp and XGrammar read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

BLOCK = 64
"""Repetitions written out in one rule; more are nested, since llama.cpp makes a rule of each optional one."""
MOST_NODES = 60_000
LAST_CHARACTER = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
HYPHEN = 0x2D
_SPECIAL = (*range(0x20), *sorted(map(ord, '[]^-"\\')), 0x7F)
_CLASS_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x5C: "\\\\"}
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


class TooLarge(ValueError):
    """A grammar that would take too long to compile."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A text."""

    text: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these ranges of code points, sorted, both ends included."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Seq:
    """Parts one after the other."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """One of the options; without options it matches no text."""

    options: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An expression ``least`` to ``most`` times; ``None`` is without end."""

    item: "Expression"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Ref:
    """The rule with this name."""

    name: str


Expression = Literal | Chars | Seq | Alt | Repeat | Ref
EMPTY, NEVER = Seq(()), Alt(())


def seq(*parts: Expression | str) -> Expression:
    """Return a sequence; a text stands for itself."""
    flat: list[Expression] = []
    for part in parts:
        if isinstance(part, Seq):
            flat += part.parts
        else:
            flat.append(Literal(part) if isinstance(part, str) else part)
    if NEVER in flat:
        return NEVER
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(*options: Expression | str) -> Expression:
    """Return a choice; a text stands for itself."""
    found = [Literal(option) if isinstance(option, str) else option for option in options]
    possible = [option for option in found if option != NEVER]
    return possible[0] if len(possible) == 1 else Alt(tuple(possible))


def repeat(item: Expression, least: int, most: int | None) -> Expression:
    """Return ``item`` from ``least`` to ``most`` times; ``None`` is without end."""
    if item == NEVER or most == 0:
        return NEVER if least else EMPTY
    return Repeat(item, least, most)


def optional(item: Expression) -> Expression:
    """Return the expression made optional."""
    return repeat(item, 0, 1)


def chars(ranges: Sequence[tuple[int, int]], *, inverted: bool = False) -> Chars:
    """Return the set of the characters in ``ranges``, or of all others."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    if not inverted:
        return Chars(tuple(merged))
    others: list[tuple[int, int]] = []
    at = 0
    for low, high in [*merged, (LAST_CHARACTER + 1, LAST_CHARACTER + 1)]:
        if at < low:
            others.append((at, low - 1))
        at = high + 1
    return Chars(tuple(others))


def without(ranges: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> Chars:
    """Return the set of the characters in ``ranges`` and not in ``others``."""
    return chars([*others, *chars(ranges, inverted=True).ranges], inverted=True)


class Grammar:
    """Rules by name. Use ``rule`` for a repeated part, ``reserve`` and ``define`` for a recursive one."""

    def __init__(self) -> None:
        self.rules: dict[str, Expression] = {}
        self._nodes = 0

    def rule(self, expression: Expression) -> Expression:
        """Add a rule; return the reference to it."""
        if expression == NEVER:
            return NEVER
        reference = self.reserve()
        self.define(reference, expression)
        return reference

    def reserve(self) -> Ref:
        """Return a reference whose rule is defined later."""
        name = f"r{len(self.rules)}"
        self.rules[name] = NEVER
        return Ref(name)

    def define(self, reference: Ref, expression: Expression) -> None:
        """Define a reserved rule; raises ``TooLarge``."""
        self._nodes += sum(1 for _ in _nodes(expression))
        if self._nodes > MOST_NODES:
            raise TooLarge
        self.rules[reference.name] = expression

    def can_end(self, root: Expression) -> bool:
        """Whether every rule that ``root`` leads to has a text of finite length."""
        reached = self._reached(root)
        ending: set[str] = set()
        before = -1
        while before < len(ending):
            before = len(ending)
            # From the last one: most rules refer to those reached after them, so that one round is almost enough.
            for name in reversed(reached):
                if name not in ending and _ends(self.rules[name], ending):
                    ending.add(name)
        return _ends(root, ending) and len(ending) == len(reached)

    def ebnf(self, root: Expression) -> str:
        """Return the grammar as EBNF."""
        writer = _Writer()
        lines = [writer.line("root", root)]
        lines += [writer.line(name, self.rules[name]) for name in self._reached(root)]
        return "\n".join([*lines, *writer.blocks]) + "\n"

    def _reached(self, root: Expression) -> list[str]:
        found: dict[str, None] = {}
        waiting = [root]
        while waiting:
            names = [node.name for node in _nodes(waiting.pop()) if isinstance(node, Ref) and node.name not in found]
            found |= dict.fromkeys(names)
            waiting += [self.rules[name] for name in dict.fromkeys(names)]
        return list(found)


def _nodes(expression: Expression) -> Iterator[Expression]:
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case Seq(parts) | Alt(parts):
                waiting += parts
            case Repeat(item):
                waiting.append(item)


def _ends(expression: Expression, ending: set[str]) -> bool:
    match expression:
        case Seq(parts):
            return all(_ends(part, ending) for part in parts)
        case Alt(options):
            return any(_ends(option, ending) for option in options)
        case Repeat(item, least):
            return least == 0 or _ends(item, ending)
        case Ref(name):
            return name in ending
        case _:
            return True


class _Writer:
    """Writes expressions; ``blocks`` are the rules that long repetitions need."""

    def __init__(self) -> None:
        self.blocks: list[str] = []

    def line(self, name: str, expression: Expression) -> str:
        return f"{name} ::= {self.write(expression)}"

    def write(self, expression: Expression) -> str:
        """Return an expression in the grammar's notation."""
        match expression:
            case Literal(text):
                return _quote(text)
            case Chars(ranges):
                return _class(ranges)
            case Seq(parts):
                return " ".join(self.write(part) for part in parts) or '""'
            case Alt(options):
                return f"({' | '.join(self.write(option) for option in options)})"
            case Repeat(item, least, most):
                return self._repeat(self.write(item), least, most)
            case Ref(name):
                return name

    def _repeat(self, item: str, least: int, most: int | None) -> str:
        item = self._block(item) if max(least, most or 0) > BLOCK else f"({item})"
        fixed = self._times(item, least)
        if most is None:
            return f"{fixed} {item}*".strip()
        return f"{fixed} {self._up_to(item, most - least)}".strip()

    def _times(self, item: str, count: int) -> str:
        """Return ``item`` exactly ``count`` times."""
        whole, rest = divmod(count, BLOCK)
        parts = [self._times(self._block(f"{item}{{{BLOCK}}}"), whole)] if whole else []
        if rest:
            parts.append(item if rest == 1 else f"{item}{{{rest}}}")
        return " ".join(parts)

    def _up_to(self, item: str, count: int) -> str:
        """Return ``item`` at most ``count`` times: whole blocks, then less than one; so nothing matches in two ways."""
        if count <= BLOCK:
            return {0: "", 1: f"{item}?"}.get(count, f"{item}{{0,{count}}}")
        whole, rest = divmod(count, BLOCK)
        block = self._block(f"{item}{{{BLOCK}}}")
        chain = self._block(f"{item}{{0,{rest}}}" if rest else '""')
        for _ in range(whole):
            chain = self._block(f"({block} {chain} | {item}{{0,{BLOCK - 1}}})")
        return chain

    def _block(self, body: str) -> str:
        name = f"b{len(self.blocks)}"
        self.blocks.append(f"{name} ::= {body}")
        return name


def _quote(text: str) -> str:
    """Return a literal. Control characters and letters beyond ASCII stand alone, the latter as classes: XGrammar writes
    them as escapes and then reads the hexadecimal digits behind them as theirs.
    """
    pieces, plain = [], ""
    for character in text:
        if " " <= character <= "~" or character in _ESCAPES:
            plain += _ESCAPES.get(character, character)
            continue
        alone = f'"\\x{ord(character):02X}"' if character < " " else f"[{character}]"
        pieces += [f'"{plain}"'] * bool(plain) + [alone]
        plain = ""
    if plain or not pieces:
        pieces.append(f'"{plain}"')
    return " ".join(pieces)


@lru_cache(maxsize=1024)
def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    """Return a class of characters. Those that need an escape come last, one by one, since XGrammar reads more digits
    than the two of an escape; a hyphen is one where it is the very last.
    """
    special = [code for code in _SPECIAL if any(low <= code <= high for low, high in ranges)]
    # Halves of surrogate pairs are no characters.
    rest = without(ranges, [SURROGATES, *((code, code) for code in _SPECIAL)]).ranges
    plain = [chr(low) if low == high else f"{chr(low)}-{chr(high)}" for low, high in rest]
    escaped = [_CLASS_ESCAPES.get(code, f"\\x{code:02X}") for code in special if code != HYPHEN]
    return f"[{''.join(plain)}{''.join(escaped)}{'-' if HYPHEN in special else ''}]"
