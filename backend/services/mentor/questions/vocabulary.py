"""Vocabulary of questions about words, folded, by kind."""

import re


def word_set(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


COURTESY = word_set(
    "hola buenas buenos dias tardes noches oye oiga disculpa disculpe perdon gracias favor fa porfa pregunta consulta "
    "duda bien profe profesor profesora maestro maestra mentor amigo amiga"
)
LINKS = word_set("a al de del para que es son seria sea tiene usan usa existe hay le dan")
"""Words between a question and its term."""
CLOSING = word_set("es son seria ser hago hacer uso usa usan")
"""Verbs with which a question ends that comes after its term: "…, qué palabra uso"."""
ORDERS = word_set("traduce traduceme traducir traduzca traduccion significado")
"""Words that ask by themselves, at the beginning."""

_WORDS = {
    "plain": (
        "a al de del en para por con y o si no se la el lo las los un una unos unas mi su tu me te le les nos esto "
        "eso ese esa este esta es son seria sea era hay existe existen tiene tienen usa usan uso usar usamos utilizan "
        "dan da saber aprender conocer preguntar preguntarte preguntarle tengo hago viene cuando hablan"
    ),
    "request": (
        "puedes puede pueden podrias podria podrian puedo sabes sabe quiero quisiera queremos necesito necesitamos "
        "gustaria deseo busco ayuda ayudas ayudame ayudar ayudarme ensename ensenas ensenar ensenarme dime digame "
        "dinos decime decirme decirnos digas entiendo entender entiende comprendo comprender muestrame mostrarme "
        "explicarme averigua busca buscame"
    ),
    "tongue": "bora boras espanol castellano idioma lengua",
    "noun": "palabra palabras termino expresion frase nombre equivalente vocablo",
    "mean": (
        "significa significan significado significaria signifique significar quiere quieren querra querria queria "
        "querian refiere refieren explica explicas explicame expliques explicar"
    ),
    "say": (
        "dice dicen decir digo decimos diria dirian dirias diriamos dices dijera llama llaman llamar llamaria "
        "llamaban nombra nombran nombrar escribe escribir escriben pronuncia pronunciar expresa expresar traduce "
        "traduceme traducir traduzca traduzco traduccion traducen pasa pasar pasame ponme poner"
    ),
    "ask": "como que cual cuales",
}
KINDS = dict.fromkeys(COURTESY, "plain") | {word: kind for kind, text in _WORDS.items() for word in text.split()}
"""Kind of each word; ``plain`` words carry no information."""

TELLING = frozenset({"say", "mean", "noun", "tongue", "is"})
"""A question about a word contains one of these, and at least two kinds other than ``plain``."""

OFTEN_MISTYPED = ("significa", "significado", "castellano", "espanol", "traduce", "traducir", "palabra", "quiere")
SHORTENED = {"q": "que", "k": "que", "qe": "que", "ke": "que", "d": "de", "pa": "para", "cm": "como"}
PEOPLE = word_set("ancianos ancianas abuelos abuelas antiguos mayores gente pueblo ustedes ellos boras bora")

COURTESY_BEFORE = re.compile(
    r"^(?:hola|buenos dias|buen dia|buenas tardes|buenas noches|buenas(?! (?:tardes|noches))|saludos|por favor|porfa"
    r"|porfavor|dime|digame|dinos|decime|explicame|ensename|muestrame|averigua|busca|buscame|y) "
)
COURTESY_AFTER = re.compile(
    r" (?:por favor|por fa|porfa|porfavor|porfis|plis|pls|gracias|muchas gracias"
    r"|para (?:mi|la|una|un|el) (?:tarea|clase|trabajo|examen|colegio|escuela))$"
)

STOP_WORDS = word_set(
    "a al algo ante aquel asi aun bajo cada como con cual cuales cuando cuanto de del desde donde e el ella ellas "
    "ellos en entre era eres es esa ese eso esta estas este esto estos fue ha hacia hasta hay he la las le les lo "
    "los mas me mi mis muy ni no nos o os para pero por porque que quien quienes se segun ser si sin sobre solo "
    "son soy su sus tambien te tu tus u un una unas uno unos y ya yo bora espanol castellano idioma lengua "
    "palabra dice decir dime significa significado quiere traduce traducir traduccion hola gracias favor puedes "
    "podrias puede podria saber quiero quisiera"
)
"""Words without meaning for the search, except when they are the whole query."""
