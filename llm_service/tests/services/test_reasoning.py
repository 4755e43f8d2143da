import itertools

import pytest

from services.answering.reasoning import ThoughtSplitter

THOUGHT_THEN_ANSWER = "<think>\nes un <b>perro</b>\n</think>\n\nUn perro: oohííbye"


def split_in_pieces(pieces: list[str], *, inside_thought: bool = False) -> tuple[str, str]:
    splitter = ThoughtSplitter(inside_thought=inside_thought)
    parts = [part for piece in pieces for part in splitter.push(piece)] + list(splitter.finish())
    assert all(text for _, text in parts), "no empty pieces"
    kinds = [kind for kind, _ in itertools.groupby(parts, key=lambda part: part[0])]
    assert kinds in ([], ["thought"], ["answer"], ["thought", "answer"])
    thought, answer = ("".join(text for kind, text in parts if kind == wanted) for wanted in ("thought", "answer"))
    return thought, answer


TEXTS = [
    # text, inside_thought, thought, answer
    (THOUGHT_THEN_ANSWER, False, "es un <b>perro</b>\n", "Un perro: oohííbye"),
    ("  \n<think>a</think>b", False, "a", "b"),
    ("<think>\n\n</think>\n\nhola", False, "", "hola"),
    ("<think>a</think>  b <think>c</think>", False, "a", "b <think>c</think>"),
    ("<think>a </thin> b</thinks></think>c", False, "a </thin> b</thinks>", "c"),
    ("<think>sin fin", False, "sin fin", ""),
    ("<think>sin fin </thi", False, "sin fin </thi", ""),
    ("<think>", False, "", ""),
    ("<think>a</think>\n", False, "a", ""),
    ("hola <think>no</think> mundo", False, "", "hola <think>no</think> mundo"),
    ("hola </think> mundo", False, "", "hola </think> mundo"),
    ("  hola ", False, "", "  hola "),
    ("<thinking>a", False, "", "<thinking>a"),
    ("<thi", False, "", "<thi"),
    ("", False, "", ""),
    ("es un perro\n</think>\n\nperro", True, "es un perro\n", "perro"),
    ("<think>es un perro</think>perro", True, "es un perro", "perro"),
    ("</think>perro", True, "", "perro"),
    ("es un perro", True, "es un perro", ""),
    ("<thi", True, "<thi", ""),
]


@pytest.mark.parametrize(("text", "inside", "thought", "answer"), TEXTS)
def test_thought_and_answer_are_told_apart_however_the_text_is_cut(
    text: str, inside: bool, thought: str, answer: str
) -> None:
    assert split_in_pieces([text], inside_thought=inside) == (thought, answer)
    assert split_in_pieces(list(text), inside_thought=inside) == (thought, answer)
    cuts = range(len(text) + 1)
    for first, second in itertools.combinations_with_replacement(cuts, 2):
        pieces = [text[:first], text[first:second], text[second:]]
        assert split_in_pieces(pieces, inside_thought=inside) == (thought, answer), pieces


def test_nothing_is_held_back_longer_than_a_tag() -> None:
    splitter = ThoughtSplitter()
    given = ""
    for count, character in enumerate(THOUGHT_THEN_ANSWER, start=1):
        given += "".join(text for _, text in splitter.push(character))
        visible = THOUGHT_THEN_ANSWER[:count].replace("<think>\n", "").replace("</think>\n\n", "")
        assert len(visible) - len(given) <= len("</think>\n\n")


def test_an_ordinary_answer_is_passed_on_at_once() -> None:
    splitter = ThoughtSplitter()
    assert [list(splitter.push(piece)) for piece in ("Hola", " </thi", "nk>")] == [
        [("answer", "Hola")],
        [("answer", " </thi")],
        [("answer", "nk>")],
    ]
