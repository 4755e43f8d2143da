"""Vocabulary of questions about words, folded, by kind."""

_ASK = "como que cual cuales"
_SAY = (
    "dice dicen decir digo decimos diria dirian dirias diriamos dices dijera llama llaman llamar llamaria llamaban "
    "nombra nombran nombrar escribe escribir escriben pronuncia pronunciar expresa expresar traduce traduceme "
    "traducir traduzca traduccion traducen pasa pasar pasame ponme poner"
)
_MEAN = (
    "significa significan significado significaria signifique significar quiere quieren querra querria queria querian "
    "refiere refieren explica explicas explicame expliques explicar"
)
_NOUN = "palabra palabras termino expresion frase nombre equivalente vocablo"
_TONGUE = "bora boras espanol castellano idioma lengua"
_REQUEST = (
    "puedes puede podrias podria puedo sabes sabe quiero quisiera queremos necesito necesitamos gustaria deseo busco "
    "ayuda ayudas ayudame ayudar ensename ensenas ensenar dime digame dinos "
    "entiendo entender entiende comprendo comprender muestrame averigua buscame"
)
_PLAIN = (
    "a al de del en para por con y o si no se la el lo las los un una unos unas mi su tu me te le les nos esto eso ese "
    "esa este esta es son seria sea era hay existe existen tiene tienen usa usan uso usar usamos utilizan dan da "
    "saber aprender conocer preguntar preguntarte preguntarle pregunta consulta duda tengo favor fa porfa hago "
    "viene bien hola buenas buenos dias tardes noches oye oiga disculpa disculpe perdon gracias profe profesor "
    "profesora maestro maestra mentor amigo amiga cuando hablan"
)

KINDS: dict[str, str] = {
    word: kind
    for kind, words in (
        ("plain", _PLAIN), ("request", _REQUEST), ("tongue", _TONGUE), ("noun", _NOUN), ("mean", _MEAN), ("say", _SAY),
        ("ask", _ASK),
    )
    for word in words.split()
}  # fmt: skip
"""Kind of each word; ``plain`` words carry no information."""

TELLING = frozenset({"say", "mean", "noun", "tongue"})
"""A question about a word contains one of these, and at least two kinds other than ``plain``."""

OFTEN_MISTYPED = ("significa", "significado", "castellano", "espanol", "traduce", "traducir", "palabra", "quiere")
SHORTENED = {"q": "que", "k": "que", "qe": "que", "ke": "que", "d": "de", "pa": "para", "cm": "como"}
_PEOPLE_TEXT = "ancianos ancianas abuelos abuelas antiguos mayores gente pueblo ustedes ellos boras bora"
PEOPLE = frozenset(_PEOPLE_TEXT.split())
