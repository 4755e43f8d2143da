"""What of a model's answer may be shown."""

import pytest

from adapters.ports.documents import Direction, SearchHit
from services.mentor.answer_words import looks_bora
from services.mentor.basis import Basis, basis_of
from services.mentor.grounding import ground
from services.mentor.questions.parser import parse_query


def hit(spanish: str, bora: str, score: float = 1.0, direction: Direction = "es_bora") -> SearchHit:
    lemma, gloss = (spanish, bora) if direction == "es_bora" else (bora, spanish)
    metadata = {"lemma": lemma, "gloss": gloss, "direction": direction}
    return SearchHit(f"{lemma}-{gloss}", "dictionary", f"{lemma}: {gloss}", score, ("lemma",), metadata)


def text_hit(content: str, score: float = 0.6) -> SearchHit:
    return SearchHit("t", "text", content, score, ("words",), {})


DOG, CAT = hit("perro", "oohííbye"), hit("gato", "mihtsyéju", 0.4)
ENTRY = 'En bora, "perro" se dice "oohííbye".'


def dog(query: str = "¿Cómo se dice perro en bora?") -> Basis:
    return basis_of(parse_query(query), [DOG, CAT])


@pytest.mark.parametrize(
    "answer",
    [
        ENTRY,
        "oohííbye",
        'La palabra bora para "perro" es "oohííbye".',
        "**Perro** en bora se dice *oohííbye*.".replace("*oohííbye*", "oohííbye"),
        "<think>hmm, oohi?</think>Perro se dice oohííbye en bora.",
    ],
)
def test_an_answer_that_names_the_entry_is_kept(answer: str) -> None:
    grounded = ground(answer, dog())
    assert grounded.mode == "generated"
    assert "oohííbye" in grounded.text
    assert "<think>" not in grounded.text


def test_a_word_spelt_without_its_accents_is_put_right() -> None:
    grounded = ground('En bora, "perro" se dice "oohiibye".', dog())
    assert (grounded.text, grounded.mode) == (ENTRY, "completed")


def test_an_answer_about_the_thing_is_completed_with_the_entry() -> None:
    grounded = ground("El perro es un amigo de la casa.", dog())
    assert (grounded.text, grounded.mode) == (f"El perro es un amigo de la casa. {ENTRY}", "completed")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        'En bora, "perro" se dice "tsahííbyeko".',  # invented
        'En bora, "perro" se dice "oohííbye" o "tsuuca".',  # right and invented
        'En bora, "perro" se dice "mihtsyéju".',  # the cat's
        'En bora, "gato" se dice "mihtsyéju" y "perro" se dice "oohííbye".',
        'El camino es "oohííbye" en bora.',  # right word, wrong thing
        'En bora, "perro" se dice "guau".',
        "En bora se dice perro.",
        "No lo sé.",
        "Perro se dice igual.",
        "¿Cómo se dice perro en bora?",
        'El "perro" es "oohííbye" Question: ¿Cómo se dice "perro en bora?"',
        'The word for perro in Bora is "oohííbye".',
        'En bora, "perro" is "oohííbye".',
        'En bora, "perro" se dice "oohííbye". ' + "El perro es un perro de la casa. " * 12,
    ],
)
def test_any_other_answer_is_replaced_by_the_entry(answer: str) -> None:
    grounded = ground(answer, dog())
    assert (grounded.text, grounded.mode) == (ENTRY, "extractive")


def test_a_sentence_cut_short_is_dropped() -> None:
    grounded = ground(f"{ENTRY} El perro es un animal que", dog(), cut_short=True)
    assert (grounded.text, grounded.mode) == (ENTRY, "generated")


def test_the_meaning_of_a_bora_word_must_be_the_entrys() -> None:
    basis = basis_of(parse_query("¿Qué significa oohííbye en español?"), [DOG])
    assert ground('"oohííbye" significa "perro".', basis).mode == "generated"
    assert ground("Perro.", basis).mode == "generated"
    assert ground('En español, "perro" significa "perro".', basis).mode == "extractive"
    replaced = ground('"oohííbye" significa "gato".', basis)
    assert (replaced.text, replaced.mode) == ('En español, "oohííbye" significa "perro".', "extractive")


def test_a_spanish_word_without_its_accent_is_put_right() -> None:
    basis = basis_of(parse_query("¿Qué significa uú en español?"), [hit("tú", "uú", 0.97)])
    grounded = ground('En español, "uú" significa "tu".', basis)
    assert (grounded.text, grounded.mode) == ('En español, "uú" significa "tú".', "completed")


def test_two_words_asked_for_need_both() -> None:
    basis = basis_of(
        parse_query("¿Cómo se dice sol y agua en bora?"), [hit("sol", "nuhba", 0.6), hit("agua", "nújpacyo", 0.6)]
    )
    assert ground('"sol" se dice "nuhba" y "agua" se dice "nújpacyo".', basis).mode == "generated"
    alone = ground('"sol" se dice "nuhba".', basis)
    assert alone.mode == "extractive"
    assert '"nuhba"' in alone.text
    assert '"nújpacyo"' in alone.text


def test_a_neighbour_is_never_passed_off_as_what_was_asked() -> None:
    basis = basis_of(parse_query("¿Cómo se dice disco duro en bora?"), [hit("duro", "kéhréne", 0.45)])
    grounded = ground('En bora, "disco duro" se dice "kéhréne".', basis)
    assert grounded.mode == "extractive"
    assert (
        grounded.text
        == 'No encontré "disco duro" en el diccionario. Lo más parecido: en bora, "duro" se dice "kéhréne".'
    )
    assert ground('En bora, "duro" se dice "kéhréne".', basis).mode == "generated"


@pytest.mark.parametrize("word", ["oohííbye", "tsɨ́ɨ́ju", "nújpacyo", "majtsíva", "ihvéjtso", "méwakye", "nííwau-jaá"])
def test_bora_spelling_is_recognised(word: str) -> None:
    assert looks_bora(word)


@pytest.mark.parametrize(
    "word",
    [
        *("perro", "leer", "creemos", "cooperar", "animal", "español", "lluvia", "corazón", "ya"),
        *("microondas", "autoobservación", "contraataque", "antiinflamatorio"),
        *("inyección", "conyugal", "cónyuge", "subyacente", "abyecto", "teórico-práctico", "socio-económico"),
    ],
)
def test_spanish_spelling_is_not_taken_for_bora(word: str) -> None:
    assert not looks_bora(word)


@pytest.mark.parametrize(
    "answer",
    [
        'El perro es "oohííbye" en bora. El perro es "oohííbye" en bora. El perro es "oohííbye" en bora.',
        'El perro es "oohííbye" en bora. El perro es un animal. El perro es de la casa. El perro es bueno.',
        'El perro es "oohííbye" en español.',
        "El perro en bora es oohííbye y es de la casa y de la familia y del pueblo y del río y de la noche y del día.",
    ],
)
def test_an_answer_that_buries_the_word_is_replaced(answer: str) -> None:
    grounded = ground(answer, dog())
    assert (grounded.text, grounded.mode) == (ENTRY, "extractive")
