"""Grammar of the texts that call tools."""

from engines.prompts.thinking import THOUGHT_BEGINS, THOUGHT_ENDS
from engines.prompts.tools import CALL_BEGINS, CALL_ENDS, call_head
from services.structure.expressions import EMPTY, Chars, Expression, Grammar, alt, chars, repeat, seq


def calls(grammar: Grammar, arguments: dict[str, Expression], most: int) -> Expression:
    """Return one to ``most`` calls of tools with these arguments, behind the first opening tag."""
    options = [seq(call_head(name), values, "}", CALL_ENDS) for name, values in arguments.items()]
    body = grammar.rule(alt(*options))
    return seq(body, repeat(seq("\n", CALL_BEGINS, body), 0, most - 1))


def text_or_calls(grammar: Grammar, after_tag: Expression, *, thinking: bool) -> Expression:
    """Return free text, which becomes a call once the opening tag of one is written; a thought may come first."""
    text = until(grammar, CALL_BEGINS, after_tag)
    if not thinking:
        return text
    return alt(seq(THOUGHT_BEGINS, until(grammar, THOUGHT_ENDS, text)), text)


def until(grammar: Grammar, tag: str, then: Expression) -> Expression:
    """Return texts without ``tag``, or up to its first occurrence and then ``then``.

    The states are the lengths of the tag's beginning that has just been written (Knuth, Morris and Pratt, 1977); no
    other beginning of the tags here ends in it, since their first character does not repeat.
    """
    assert tag[0] not in tag[1:]
    states = [grammar.reserve() for _ in tag]
    first = Chars(((ord(tag[0]), ord(tag[0])),))
    for at, state in enumerate(states):
        wanted = Chars(((ord(tag[at]), ord(tag[at])),))
        reached = then if at + 1 == len(tag) else states[at + 1]
        others = chars([*first.ranges, *wanted.ranges], inverted=True)
        if at == 0:
            grammar.define(state, seq(repeat(others, 0, None), alt(EMPTY, seq(wanted, reached))))
        else:
            grammar.define(state, alt(EMPTY, seq(wanted, reached), seq(first, states[1]), seq(others, states[0])))
    return states[0]
