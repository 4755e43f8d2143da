import pytest

from adapters.ports.documents import Document
from services.mentor.lexicon.fields import expand_variant, index_fields, near_codes
from services.mentor.lexicon.forms import one_typo_apart


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("perro", "pero"),
        ("perro", "perrro"),
        ("perro", "pedro"),
        ("perro", "peror"),
        ("perro", "erro"),
        ("agua", "agia"),
    ],
)
def test_one_typo_is_recognised_and_shares_a_code(left: str, right: str) -> None:
    assert one_typo_apart(left, right)
    assert one_typo_apart(right, left)
    assert set(near_codes(left)) & set(near_codes(right))


@pytest.mark.parametrize(
    ("left", "right"), [("perro", "perro"), ("perro", "gato"), ("perro", "peor"), ("sol", "col"), ("perro", "perrito")]
)
def test_more_than_one_typo_or_too_short_a_word_is_not(left: str, right: str) -> None:
    assert not one_typo_apart(left, right)


@pytest.mark.parametrize(
    ("lemma", "variant", "full"),
    [
        ("canoso", "sa", "canosa"),
        ("hablador", "ra", "habladora"),
        ("pálido", "-da", "pálida"),
        ("besucar", "besuquear", "besuquear"),
        ("mal", "malo", "malo"),
        ("tsa-", "tsaaɨcon", "tsaaɨcon"),
        ("dar gritos", "da", "da"),
    ],
)
def test_printed_endings_become_whole_words(lemma: str, variant: str, full: str) -> None:
    assert expand_variant(lemma, variant) == full


def test_metadata_of_unexpected_types_is_indexed_without_failing() -> None:
    metadata = {"lemma": 3, "gloss": None, "variants": {"a": 1}, "synonyms": [1, "x"], "direction": "sideways"}
    fields = index_fields(Document("1", "dictionary", "contenido", metadata))
    assert (fields.direction, fields.lemma_keys, fields.gloss_keys, fields.text_c) == (None, [], ["x"], "contenido")
