"""Plain questions of learners, about the sample lexicon: each word is answered, the missing ones are named."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.ports.documents import Document
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import BACKEND_ROOT
from services.library.formats import read_file
from services.library.ingestion import DocumentIngestor
from services.mentor.lexicon.folding import normalise
from services.mentor.questions.languages import foreign
from services.mentor.questions.parser import parse_query
from services.mentor.questions.small_talk import small_talk
from services.rag_service import RAGService
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

LEXICON = BACKEND_ROOT / "data" / "sample_lexicon.json"
DOG, SAME = 'En bora, "perro" se dice "oohííbye".', "En bora es la misma palabra."
QUESTIONS = Path(__file__).resolve().parents[3] / "bench" / "data" / "mentor_questions.json"


@pytest.fixture
async def lexicon(store: SupabaseAdapter) -> SupabaseAdapter:
    await DocumentIngestor(store, None).ingest(read_file(LEXICON).documents, embed=False)
    return store


async def test_every_kind_of_question_is_answered_with_the_right_words(lexicon: SupabaseAdapter) -> None:
    mentor, wrong = RAGService(lexicon), []
    for question in json.loads(QUESTIONS.read_text(encoding="utf-8")):
        if question.get("held_out"):
            continue
        answer = (await mentor.answer(question["question"], history=question.get("history", ()))).answer
        said = normalise(answer)
        holds = all(normalise(text) in said for text in question["holds"])
        if not holds or any(normalise(text) in said for text in question.get("lacks", ())):
            wrong.append((question["question"], answer))
    assert wrong == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "perro, tortuga y gato",
            f'{DOG} En bora, "gato" se dice "mííchií". No encontré "tortuga" en el diccionario.',
        ),
        ("¿nuhba significa luna?", 'Sí: en español, "nuhba" significa "luna" o "sol".'),
        (
            "¿perro se dice mííchií?",
            f'No, según el diccionario: {DOG[0].lower()}{DOG[1:-1]}; en español, "mííchií" significa "gato".',
        ),
        (
            "¿es lo mismo sol que luna?",
            f'En bora, "sol" se dice "nuhba". En bora, "luna" se dice "nuhba". {SAME}',
        ),
        ("ríos", 'No encontré "ríos" en el diccionario. Lo más parecido: en bora, "río" se dice "teéhi".'),
        ("el perro duerme", f'{DOG} En bora, "dormir" (duerme) se dice "cuwa".'),
    ],
)
async def test_the_answer_says_what_is_known_and_what_is_not(
    lexicon: SupabaseAdapter, question: str, answer: str
) -> None:
    assert (await RAGService(lexicon).answer(question)).answer == answer


async def test_a_long_list_names_every_word_with_its_source(lexicon: SupabaseAdapter) -> None:
    words = [item["lemma"] for item in json.loads(LEXICON.read_text(encoding="utf-8"))][:20]
    answer = await RAGService(lexicon).answer("\n".join(words), top_k=3)
    assert {hit.metadata["lemma"] for hit in answer.sources} == set(words)
    assert (answer.served_by, answer.degraded) == ("dictionary", False)


async def test_words_beyond_what_one_question_looks_up_are_named(lexicon: SupabaseAdapter) -> None:
    words = [item["lemma"] for item in json.loads(LEXICON.read_text(encoding="utf-8")) if " " not in item["lemma"]]
    answer = (await RAGService(lexicon).answer(", ".join([*words[:24], "corazón", "tortuga"]))).answer
    assert answer.endswith('Son demasiadas palabras para una vez; pregúntame aparte por "corazón", "tortuga".')
    assert f'"{words[23]}"' in answer
    assert "demasiadas" not in (await RAGService(lexicon).answer(", ".join(words[:24]))).answer


@pytest.mark.parametrize("variants", [None, 5, {"a": 1}, "zumba", ["zumba", 1]])
async def test_variants_of_any_type_leave_the_entry_its_answer(lexicon: SupabaseAdapter, variants: object) -> None:
    metadata = {"lemma": "zumbido", "gloss": "tsubu", "direction": "es_bora", "variants": variants}
    await lexicon.upsert([Document("zumbido", "dictionary", "zumbido: tsubu", metadata)])
    for asked in ("zumbido", "zumba") if "zumba" in str(variants) else ("zumbido",):
        assert (await RAGService(lexicon).answer(asked)).answer == f'En bora, "{asked}" se dice "tsubu".'


class NoEmbedder(FakeEmbedder):
    async def asked(self, texts: Sequence[str]) -> None:
        raise AssertionError(f"a vector was made of {texts}")


@pytest.mark.parametrize(
    "question", ["perro, gato y venado", "¿nuhba significa luna?", "hola", "What does nuhba mean?"]
)
async def test_what_words_answer_waits_for_no_vector(lexicon: SupabaseAdapter, question: str) -> None:
    answer = await RAGService(lexicon, embedder=NoEmbedder()).answer(question)
    assert not answer.degraded


async def test_small_talk_searches_nothing() -> None:
    nowhere = SupabaseAdapter("postgresql://nobody@127.0.0.1:9/none", None, timeout_s=0.3)  # type: ignore[arg-type]
    answer = await RAGService(nowhere).answer("¡Hola, profe!")
    assert answer.sources == ()
    assert "¿Cómo se dice perro en bora?" in answer.answer
    await nowhere.close()


@pytest.mark.parametrize(
    "text", ["perro", "no", "como", "¿Cómo se dice hola en bora?", "hola, perro", "gracias a Dios"]
)
def test_a_question_for_a_word_is_no_small_talk(text: str) -> None:
    assert small_talk(text) == ""


@pytest.mark.parametrize(
    "text", ["perro", "¿Cómo se dice perro en bora?", "mi hermano", "oó me uú", "¿Qué significa ado?", "hotel", ""]
)
def test_spanish_and_bora_are_not_foreign(text: str) -> None:
    assert foreign(text) is None


def test_words_of_questions_are_terms_when_they_are_items() -> None:
    assert parse_query("beber, saber y decir").terms == ("beber", "saber", "decir")
    assert parse_query("1. yuca\n2) plátano\n- maní").terms == ("yuca", "platano", "mani")
