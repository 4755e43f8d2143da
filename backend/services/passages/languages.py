"""Languages of questions: function words, by which a language is recognised, and the fixed words of answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.passages.words import Word, fold, words


@dataclass(frozen=True, slots=True)
class Language:
    """A language that questions are asked in; word lists are folded."""

    code: str
    name: str
    """English name, for prompts."""
    stemmer: str
    """Name of the Snowball stemmer, and of Postgres's text search configuration."""
    function_words: frozenset[str]
    question_words: frozenset[str]
    asks_number: frozenset[str]
    """Question words that an answer with a number or a date belongs to."""
    negations: frozenset[str]
    dates: frozenset[str]
    """Names of months and weekdays, of which every one in an answer must be in the text."""
    numbers: dict[str, str]
    """Number words with their digits; not "one", which is an article too."""
    unknown: str


def _set(text: str) -> frozenset[str]:
    return frozenset(fold(text).split())


def _numbers(text: str) -> dict[str, str]:
    """Return number words with their digits from "two=2 three=3"."""
    return {fold(word): digits for word, _, digits in (pair.partition("=") for pair in text.split())}


SPANISH: Final = Language(
    code="es",
    name="Spanish",
    stemmer="spanish",
    function_words=_set(
        "a al algo ante aquel aquella así aun aunque bajo cada casi como con contra cual cuál cuáles cuando "
        "cuándo cuánto cuánta cuántos cuántas de del desde donde dónde durante e el él ella ellas ellos en entre "
        "era eran eres es esa esas ese eso esos esta está están estaba estas este esto estos fue fueron ha hace "
        "hacer hacen han hasta hay haya la las le les lo los luego mas más me mi mis mientras muy ni no nos "
        "nosotros o os otra otras otro otros para pero poco por porque pueda pueden puede puedo que qué quien "
        "quién quienes se sea según ser si sí sin sobre solo son soy su sus sólo también tan tanto te tener tengo "
        "ti tiene tienen toda todas todo todos tras tu tus un una unas uno unos usted ustedes y ya yo debe deben "
        "debo debería hago qué dice dicen dime"
    ),
    question_words=_set(
        "qué cuál cuáles cómo cuándo cuánto cuánta cuántos cuántas dónde adónde quién quiénes explica explícame dime "
        "cuéntame"
    ),
    asks_number=_set("cuánto cuánta cuántos cuántas cuándo hora año fecha edad precio"),
    negations=_set("no nunca jamás tampoco ningún ninguna ninguno nadie"),
    dates=_set(
        "enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre lunes "
        "martes miércoles jueves viernes sábado domingo sábados domingos"
    ),
    numbers=_numbers(
        "dos=2 tres=3 cuatro=4 cinco=5 seis=6 siete=7 ocho=8 nueve=9 diez=10 once=11 doce=12 trece=13 catorce=14 "
        "quince=15 dieciséis=16 diecisiete=17 dieciocho=18 diecinueve=19 veinte=20 treinta=30 cuarenta=40 "
        "cincuenta=50 sesenta=60 setenta=70 ochenta=80 noventa=90 cien=100 ciento=100 mil=1000"
    ),
    unknown="No lo sé: no encontré la respuesta en los textos.",
)
ENGLISH: Final = Language(
    code="en",
    name="English",
    stemmer="english",
    function_words=_set(
        "a about after all also am an and any are as at be because been before being between both but by can "
        "could did do does doing done during each for from get had has have having he her here him his how i if "
        "in into is it its just may me might more most much must my no nor not of off on once one only or other "
        "our out over own same shall she should so some such tell than that the their them then there these they "
        "this those through to too under until up us very was we were what when where which while who whom whose "
        "why will with within without would you your"
    ),
    question_words=_set("what which who whom whose when where why how many much long often old tell explain describe"),
    asks_number=_set("many much long often when old far tall heavy year age date price"),
    negations=_set("not no never none nobody nothing neither nor cannot can't don't doesn't isn't mustn't won't"),
    dates=_set(
        "january february march april june july august september october november december monday tuesday "
        "wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays "
        "sundays"
    ),
    numbers=_numbers(
        "two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 eleven=11 twelve=12 thirteen=13 "
        "fourteen=14 fifteen=15 sixteen=16 seventeen=17 eighteen=18 nineteen=19 twenty=20 thirty=30 forty=40 "
        "fifty=50 sixty=60 seventy=70 eighty=80 ninety=90 hundred=100 thousand=1000 twice=2"
    ),
    unknown="I don't know: the answer is not in the texts.",
)
PORTUGUESE: Final = Language(
    code="pt",
    name="Portuguese",
    stemmer="portuguese",
    function_words=_set(
        "a à ao aos às aquela aquele as até cada com como contra da das de dela dele deles depois do dos durante "
        "e é ela elas ele eles em entre era eram essa essas esse esses esta está estão estar estas este estes eu "
        "faz fazer foi foram há isso isto já lhe lhes mais mas me mesmo meu meus minha minhas muito na não nas "
        "nem no nos nós nossa nosso num numa o onde os ou para pela pelas pelo pelos pode podem posso por porque "
        "qual quais quando quanto quanta quantos quantas que quem se sem ser seu seus só são sob sobre sua suas "
        "também tem têm ter toda todas todo todos tu um uma umas uns você vocês deve devem devo"
    ),
    question_words=_set("que qual quais como quando quanto quanta quantos quantas onde quem explica explique diga"),
    asks_number=_set("quanto quanta quantos quantas quando hora ano data idade preço"),
    negations=_set("não nunca jamais nem nenhum nenhuma ninguém"),
    dates=_set(
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro segunda-feira "
        "terça-feira quarta-feira quinta-feira sexta-feira sábado domingo"
    ),
    numbers=_numbers(
        "dois=2 duas=2 três=3 quatro=4 cinco=5 seis=6 sete=7 oito=8 nove=9 dez=10 onze=11 doze=12 treze=13 "
        "catorze=14 quatorze=14 quinze=15 dezesseis=16 dezessete=17 dezoito=18 dezenove=19 vinte=20 trinta=30 "
        "quarenta=40 cinquenta=50 sessenta=60 setenta=70 oitenta=80 noventa=90 cem=100 cento=100 mil=1000"
    ),
    unknown="Não sei: a resposta não está nos textos.",
)
LANGUAGES: Final = (SPANISH, ENGLISH, PORTUGUESE)

_LETTERS: Final = {"es": "¿¡ñ", "pt": "ãõçâêô", "en": ""}
_EVIDENCE: Final = 0.15
"""Least weight of function words, per word of the text, by which a language is recognised."""


def recognised(text: str) -> Language | None:
    """Return the language of ``text`` by its function words and letters, or ``None`` for an unsupported language."""
    found = words(text)
    weights = {language.code: 0.0 for language in LANGUAGES}
    for word in found:
        having = [language.code for language in LANGUAGES if word.folded in language.function_words]
        for code in having:
            weights[code] += 1 / len(having)
    lower = text.lower()
    for code, letters in _LETTERS.items():
        weights[code] += sum(lower.count(letter) > 0 for letter in letters)
    best = max(LANGUAGES, key=lambda language: weights[language.code])
    return best if weights[best.code] > _EVIDENCE * len(found) else None


def content_words(found: Sequence[Word], language: Language | None) -> list[Word]:
    """Return the words that carry a meaning; without a known language, function words of any are left out."""
    chosen = (language,) if language else LANGUAGES
    return [
        word
        for word in found
        if not any(word.folded in one.function_words or word.folded in one.question_words for one in chosen)
    ]


def spelled_number(word: Word) -> str | None:
    """Return the digits of a number word of any language, or ``None``."""
    return next((one.numbers[word.folded] for one in LANGUAGES if word.folded in one.numbers), None)
