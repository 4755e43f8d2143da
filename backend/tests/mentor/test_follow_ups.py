"""Questions that lean on earlier turns, turned into whole ones."""

import pytest

from adapters.ports.models import ChatMessage
from services.mentor.questions.follow_ups import MAX_MESSAGES, resolve

CAT = ("¿Cómo se dice gato en bora?", 'En bora, "gato" se dice "mííchií".')
MOON = ("¿Qué significa nuhba en español?", 'En español, "nuhba" significa "luna".')


def turns(*texts: str) -> list[ChatMessage]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("before", "asked", "question"),
    [
        (CAT, "¿y perro?", "¿Cómo se dice perro en bora?"),
        (CAT, "y «árbol»", "¿Cómo se dice árbol en bora?"),
        (CAT, "¿y para decir hermano?", "¿Cómo se dice hermano en bora?"),
        (CAT, "¿Y también la casa grande?", "¿Cómo se dice la casa grande en bora?"),
        (CAT, "¿y tsɨ́ɨ́ju?", "¿Qué significa tsɨ́ɨ́ju en español?"),
        (CAT, "¿y en español?", "¿Qué significa mííchií en español?"),
        (CAT, "¿y cómo se dice en castellano?", "¿Qué significa mííchií en español?"),
        (CAT, "¿qué significa?", "¿Qué significa mííchií en español?"),
        (CAT, "¿Qué significa eso?", "¿Qué significa mííchií en español?"),
        (CAT, "¿y en bora?", "¿Cómo se dice gato en bora?"),
        (CAT, "¿y el plural?", "¿Cómo se dice gatos en bora?"),
        (CAT, "repítelo, por favor", "¿Cómo se dice gato en bora?"),
        (MOON, "¿y ado?", "¿Qué significa ado en español?"),
        (MOON, "¿y en bora?", "¿Cómo se dice luna en bora?"),
        (
            (*CAT, "¿y perro?", "Perro se dice oohííbye."),
            "¿y en español?",
            "¿Qué significa oohííbye en español?",
        ),
        ((*CAT, "¿y perro?"), "¿y en bora?", "¿Cómo se dice perro en bora?"),
        (("gato",), "¿y perro?", "¿Cómo se dice perro en bora?"),
    ],
)
def test_a_follow_up_is_the_question_it_stands_for(before: tuple[str, ...], asked: str, question: str) -> None:
    assert resolve(asked, turns(*before)).query.original == question


@pytest.mark.parametrize(
    "asked",
    ["¿Cómo se dice perro en bora?", "¿y cómo se dice perro en bora?", "¿Y qué es un perro?", "perro", "hola", "?"],
)
def test_a_question_of_its_own_is_left_as_it_is(asked: str) -> None:
    assert resolve(asked, turns(*CAT)).query.original == asked


@pytest.mark.parametrize("asked", ["¿y perro?", "¿y en español?", "otro ejemplo", "¿qué significa?", "¿y el plural?"])
def test_without_a_conversation_nothing_is_guessed(asked: str) -> None:
    follow = resolve(asked, [])
    assert (follow.query.original, follow.missing, follow.example_of) == (asked, "", "")


def test_an_example_is_asked_for_the_word_under_discussion() -> None:
    follow = resolve("Dame otro ejemplo", turns(*CAT))
    assert (follow.example_of, follow.missing) == ("gato", "otro ejemplo con gato")
    assert resolve("un ejemplo con casa", turns(*CAT)).example_of == "casa"


def test_a_form_that_no_dictionary_holds_is_named_as_missing() -> None:
    assert resolve("¿y el femenino?", turns(*CAT)).missing == "femenino de gato"
    assert resolve("¿y el plural?", turns(*MOON)).missing == "plural de nuhba"


def test_turns_long_ago_are_forgotten() -> None:
    chat = turns(*CAT, *(["Gracias, muchas gracias por toda tu ayuda de hoy", "De nada."] * (MAX_MESSAGES // 2)))
    assert resolve("¿y en español?", chat).query.original == "¿y en español?"
