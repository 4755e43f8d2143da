import itertools

import pytest

from engines.answer import Answer
from engines.events import Finished
from engines.text_assembly import TextAssembler
from tests.engines.driving import chat

TEXT = "Año nuevo: ¡ñandú! 😊 y 👩‍🚀, después ɨ́ tsʼ y 日本語."


def decode_bytes(ids: list[int]) -> str:
    """A vocabulary whose tokens are single bytes, the hardest case for whole characters."""
    return bytes(ids).decode("utf-8", errors="replace")


def assemble(text: str, *, stop: tuple[str, ...] = (), size: int = 1) -> tuple[TextAssembler, list[str]]:
    assembler = TextAssembler(decode_bytes, stop)
    ids = list(text.encode("utf-8"))
    pieces = [assembler.push(ids[at : at + size]) for at in range(0, len(ids), size)]
    return assembler, [*pieces, assembler.finish()]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_pieces_hold_whole_characters_and_add_up_to_the_text(size: int) -> None:
    assembler, pieces = assemble(TEXT, size=size)
    assert "".join(pieces) == assembler.text == TEXT
    assert not any("\ufffd" in piece for piece in pieces)


def test_bytes_that_are_no_character_come_out_once_something_follows() -> None:
    assembler = TextAssembler(decode_bytes)
    pieces = [assembler.push([byte]) for byte in (0x61, 0xFF, 0x62)]
    assert "".join(pieces) + assembler.finish() == "a\ufffdb"


def test_tokens_are_counted_also_when_they_show_nothing() -> None:
    assembler = TextAssembler(decode_bytes)
    euro = "€".encode()
    assert [assembler.push([byte]) for byte in euro] == ["", "", "€"]
    assert assembler.token_count == 3
    assert assembler.token_ids == list(euro)


def test_a_word_whose_look_depends_on_its_neighbour_keeps_its_space() -> None:
    words = ["uno", "dos", "tres"]

    def decode(ids: list[int]) -> str:
        # Like SentencePiece: the space before the first token of a text is dropped.
        return " ".join(words[token] for token in ids)

    assembler = TextAssembler(decode)
    assert [assembler.push([token]) for token in (0, 1, 2)] == ["uno", " dos", " tres"]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("stop", ["después", "¡", "😊", "o n", TEXT[-3:], TEXT[:4]])
def test_nothing_of_a_stop_string_or_after_it_comes_out(stop: str, size: int) -> None:
    assembler, pieces = assemble(TEXT, stop=(stop,), size=size)
    assert assembler.stopped
    assert "".join(pieces) == assembler.text == TEXT[: TEXT.index(stop)]


def test_the_stop_string_that_comes_first_in_the_text_wins() -> None:
    for stops in itertools.permutations(("después", "ñandú", "日本")):
        assembler, _pieces = assemble(TEXT, stop=stops)
        assert assembler.text == TEXT[: TEXT.index("ñandú")]


def test_what_only_began_like_a_stop_string_comes_out() -> None:
    assembler, pieces = assemble("abcab", stop=("abcd",))
    assert not assembler.stopped
    assert "".join(pieces) == "abcab"
    assert pieces == ["", "", "", "abc", "", "ab"]


def test_tokens_after_a_stop_add_no_text() -> None:
    assembler, _pieces = assemble("uno. dos", stop=(".",))
    assert assembler.push(list(b" tres.")) == ""
    assert assembler.finish() == ""
    assert assembler.text == "uno"


def test_an_empty_stop_string_stops_nothing() -> None:
    assembler, _pieces = assemble("hola", stop=("",))
    assert (assembler.text, assembler.stopped) == ("hola", False)


def test_a_character_cut_in_half_by_the_budget_is_dropped() -> None:
    assembler = TextAssembler(decode_bytes)
    text = assembler.push([*b"hola ", 0xF0, 0x9F])
    assert text + assembler.finish() == "hola "


def test_without_anyone_reading_along_the_text_is_decoded_once_at_its_end() -> None:
    decoded: list[int] = []

    def decode(ids: list[int]) -> str:
        decoded.append(len(ids))
        return decode_bytes(ids)

    assembler = TextAssembler(decode, incremental=False)
    assert [assembler.push([byte]) for byte in TEXT.encode()] == [""] * len(TEXT.encode())
    assert assembler.finish() == assembler.text == TEXT
    assert decoded == [0, len(TEXT.encode())]


def test_a_stop_string_that_only_the_end_reveals_is_the_reason() -> None:
    """The budget cut through the character after it."""
    text = TextAssembler(decode_bytes, ("b",))
    answer = Answer(request=chat("one", "x", stop=("b",)), prompt_ids=[1], max_new_tokens=3, text=text)
    text.add([*b"ab", 0xC3])
    *_, last = answer.report(text.read("", "ab\ufffd"), "length")
    assert isinstance(last, Finished)
    assert (last.text, last.finish_reason) == ("a", "stop")
