import time

import pytest

from services.mentor.lexicon.folding import fold
from services.mentor.questions.parser import parse_query

INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u061c\u202a"


@pytest.mark.parametrize(
    ("question", "phrase", "direction"),
    [
        ("¿Cómo se dice perro en bora?", "perro", "es_bora"),
        ("¿En bora cómo se dice perro?", "perro", "es_bora"),
        ("¿Cómo digo agua?", "agua", "es_bora"),
        ("Hola, ¿me puedes decir cómo se dice el perro en bora, por favor?", "el perro", "es_bora"),
        ("¿Qué significa ihvéjtso en español?", "ihvejtso", "bora_es"),
        ("¿Cuál es el significado de pajtye?", "pajtye", "bora_es"),
        ("traduce abandonar al bora", "abandonar", "es_bora"),
        ("traduce pajtye del bora", "pajtye", "bora_es"),
        ("traduce agua del español al bora", "agua", "es_bora"),
        ("¿Cuál es la palabra bora para agua?", "agua", "es_bora"),
        ("¿Qué significa la palabra bora mujcu?", "mujcu", "bora_es"),
        ("perro en bora", "perro", "es_bora"),
        ("buenos días profe, ¿me ayudas? quisiera saber cuál es la palabra bora para casa", "casa", "es_bora"),
        ("como se dise hora en vora", "hora", "es_bora"),
        ("si quiero decir ser abandonado, qué palabra uso en lengua bora", "ser abandonado", "es_bora"),
        ("qé palabra usan para hacer bulla los boras", "hacer bulla", "es_bora"),
        ("tengo una duda, ¿casa tiene traducción al bora?", "casa", "es_bora"),
        ("hola, escuché la palabra pajtye, ¿qué querrá decir?", "pajtye", "bora_es"),
        ("mi abuela dice pajtye, a qué se refiere", "pajtye", "bora_es"),
        ("q sinifica pa", "pa", "bora_es"),
        ("¿Qué querían decir los ancianos con pajtye?", "pajtye", "bora_es"),
        ("necesito saber el significado de pajtye para mi tarea", "pajtye", "bora_es"),
        ("¿y perro?", "perro", None),
        ("hola, perro", "perro", None),
    ],
)
def test_the_term_and_the_direction_are_read(question: str, phrase: str, direction: str | None) -> None:
    parsed = parse_query(question)
    assert (parsed.phrase, parsed.direction) == (phrase, direction)


@pytest.mark.parametrize(
    ("question", "phrase"),
    [
        ("¿Cómo se dice decir en bora?", "decir"),
        ("¿Cómo se dice en en bora?", "en"),
        ("¿Cómo se dice hola en bora?", "hola"),
        ("¿Cómo se dice gracias en bora?", "gracias"),
        ("¿Cómo digo gracias?", "gracias"),
        ("hola, ¿cómo le dicen los bora a decir?", "decir"),
        ("buenos días profe, quisiera saber cuál es la palabra bora para maestro", "maestro"),
        ("¿Cómo se dise decir en bora?", "decir"),
        ("¿Cómo se dice buenas noches en bora?", "buenas noches"),
        ("¿Qué significa y?", "y"),
        ("hola", "hola"),
        ("por favor", "por favor"),
        ("traduce", "traduce"),
    ],
)
def test_keeps_frame_words_that_are_the_content(question: str, phrase: str) -> None:
    assert parse_query(question).phrase == phrase


@pytest.mark.parametrize(
    "text",
    ["decir la verdad", "llamar la atención", "palabra de honor", "ser abandonado", "hacer una casa", "al aire libre"],
)
def test_a_phrase_of_words_that_frames_have_too_is_left_whole(text: str) -> None:
    parsed = parse_query(text)
    assert (parsed.phrase, parsed.direction) == (fold(text), None)


@pytest.mark.parametrize("quotes", ['"{}"', "«{}»", "“{}”", "'{}'", "‘{}’"])
def test_what_stands_in_quotes_is_asked_for(quotes: str) -> None:
    assert parse_query(f"explícame qué es {quotes.format('por favor')} en bora").phrase == "por favor"


def test_apostrophes_inside_bora_words_are_no_quotes() -> None:
    assert parse_query("¿Qué significa tsá'í jí'í?").phrase == "tsai jii"


def test_quotes_inside_a_framed_gloss_do_not_cut_it() -> None:
    assert parse_query('¿Qué significa tene "curioso" menéé?').phrase == "tene curioso menee"


def test_terms_leave_out_words_that_tell_nothing() -> None:
    assert parse_query("¿Cómo se dice el perro de la casa en bora?").terms == ("perro", "casa")


@pytest.mark.parametrize("text", ["", "   ", "¿?", "!!!", "'", "\u0301"])
def test_text_without_words_asks_for_nothing(text: str) -> None:
    parsed = parse_query(text)
    assert (parsed.phrase, parsed.terms) == ("", ())


def test_a_very_long_text_is_cut_and_read_in_bounded_terms() -> None:
    parsed = parse_query("¿Cómo se dice " + " ".join(f"palabra{number}" for number in range(50_000)) + "?")
    assert len(parsed.terms) == 24
    assert len(parsed.phrase) <= 2_000


def test_hundreds_of_question_words_are_parsed_at_once() -> None:
    begun = time.process_time()
    assert parse_query("perro " + "que " * 498).phrase.startswith("perro que")
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ÁÉÍÓÚÑÜ", "aeiounu"),
        ("tsʉʉ́mɨ", "tsuumi"),
        ("TSɄɄMƗ", "tsuumi"),
        ("tsá’a", "tsa'a"),
        ("tsáʼa", "tsa`a"),
        ("a\u0301", "á"),
        ("  mi/mii ", "mi mii"),
        ("co\u00admer", "comer"),
        ("ts+me", "tsɨme"),
        ("tsï'm+", "tsɨʔmɨ"),
        ("tsáꞌa", "tsáʻa"),
        ("ts\\ico", "tsico"),
        *((f"nuh{invisible}ba", "nuhba") for invisible in INVISIBLE),
    ],
)
def test_folding_makes_spellings_equal(left: str, right: str) -> None:
    assert fold(left) == fold(right)


@pytest.mark.parametrize("text", ["Tsʉʉ́mɨ’ jaá, ¿ñandú?", "ﬁn ½ Straße İ", "_a__b_", "ts+'+m\u0301+ 1+1 ++"])
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
