"""Question frames around a word ("cómo se dice …"), as patterns over folded text."""

import re
from dataclasses import dataclass

from adapters.base import Direction

_BORA = r"(?:(?:el |la )?(?:idioma |lengua )?bora)"
_SPANISH = r"(?:(?:el |la )?(?:idioma |lengua )?(?:espanol|castellano))"
_LANGUAGE = rf"(?:{_BORA}|{_SPANISH})"
_TO = rf"(?:en|al|a|hacia el) (?P<lang>{_LANGUAGE})"
_SAID = (
    r"(?:dice|dicen|dira|diria|digo|decimos|decir|dirian|escribe|escriben|llama|llaman|llamaria|"
    r"pronuncia|traduce|traducen|traduciria|expresa|nombra|es|seria)"
)
_MEANS = r"(?:significa|significan|quiere decir|quieren decir|significaria|querra decir)"
_NOUN = r"(?:palabra|palabras|termino|expresion|frase|nombre|forma|traduccion|equivalente|verbo)"


@dataclass(frozen=True, slots=True)
class Frame:
    """A question pattern: group ``x`` is the term, group ``lang`` the language named."""

    pattern: re.Pattern[str]
    direction: Direction | None
    """Direction when no language is named."""
    language_is_source: bool = False
    """The named language is the term's own, not the target."""


def _frame(pattern: str, direction: Direction | None, *, source: bool = False) -> Frame:
    return Frame(re.compile(pattern), direction, source)


FRAMES: tuple[Frame, ...] = (
    # ¿Cómo se dice X en bora?  ¿En bora cómo se dice X?  ¿Cómo digo X?
    _frame(rf"como (?:(?:se|le|lo|la|les) )*(?:puede |podria )?{_SAID} (?P<x>.+) {_TO}", None),
    _frame(rf"{_TO} como (?:(?:se|le|lo|la|les) )*{_SAID} (?:a )?(?P<x>.+)", None),
    _frame(rf"como (?:(?:se|le|lo|la|les) )*{_SAID} {_TO} (?:a )?(?P<x>.+)", None),
    _frame(rf"(?:como )(?:(?:se|le|lo|la|les) )+{_SAID} (?P<x>.+)", "es_bora"),
    _frame(r"como (?:digo|decimos|traduzco|puedo decir|diria) (?P<x>.+)", "es_bora"),
    _frame(rf"(?:quiero|quisiera|necesito|me gustaria) decir (?P<x>.+) {_TO}", None),
    # ¿Qué significa X (en español)?  ¿Cuál es el significado de X?
    _frame(rf"que {_MEANS} (?P<x>.+) {_TO}", None),
    _frame(rf"{_TO} que {_MEANS} (?P<x>.+)", None),
    _frame(rf"que {_MEANS} {_TO} (?P<x>.+)", None),
    _frame(rf"que {_MEANS} (?P<x>.+)", "bora_es"),
    _frame(r"(?P<x>.+) que (?:significa|quiere decir)", "bora_es"),
    _frame(rf"(?:(?:cual es )?el |que )?significado (?:tiene |de(?:l)? )(?P<x>.+) {_TO}", None),
    _frame(r"(?:(?:cual es )?el |que )?significado (?:tiene |de(?:l)? )(?P<x>.+)", "bora_es"),
    # ¿Cuál es la palabra bora para X?  ¿Qué palabra se usa para X en bora?
    _frame(
        rf"(?:(?:cual|que) es )?(?:la |el |una |que |cual )?{_NOUN} (?:en |al |del |de )?(?P<lang>{_LANGUAGE}) "
        rf"(?:que (?:significa|quiere decir)|de|del|para(?: decir)?|por) (?P<x>.+)",
        None,
    ),
    _frame(rf"(?:cual|que) es (?:la |el |una )?{_NOUN} (?:de|del|para(?: decir)?|por) (?P<x>.+) {_TO}", None),
    _frame(rf"(?:cual|que) es (?:la |el |una )?{_NOUN} (?:de|del|para(?: decir)?|por) (?P<x>.+)", None),
    _frame(rf"(?:la |el )?{_NOUN} (?:de|del|para(?: decir)?|por) (?P<x>.+) {_TO}", None),
    _frame(
        rf"(?:que|cual) {_NOUN} (?:se (?:usa|emplea|utiliza)|existe|hay|usan) (?:para(?: decir)? )?(?P<x>.+) {_TO}",
        None,
    ),
    # Traduce X (al bora | del bora).
    _frame(
        rf"(?:traduce|traduceme|traducir|traduzca|traduzcame|traducelo|traduccion|traducime) (?:de |del )?"
        rf"(?P<x>.+) (?:de|del) {_LANGUAGE} {_TO}",
        None,
    ),
    _frame(
        rf"(?:traduce|traduceme|traducir|traduzca|traduzcame|traducime) (?:de|del) {_LANGUAGE} {_TO} (?P<x>.+)", None
    ),
    _frame(rf"(?:traduce|traduceme|traducir|traduzca|traduzcame|traducime) {_TO} (?P<x>.+)", None),
    _frame(
        rf"(?:(?:la )?traduccion de |traduce|traduceme|traducir|traduzca|traduzcame|traducime) ?(?P<x>.+) {_TO}", None
    ),
    _frame(
        rf"(?:traduce|traduceme|traducir|traduzca|traduzcame|traducime) (?P<x>.+) (?:de|del) (?P<lang>{_LANGUAGE})",
        None,
        source=True,
    ),
    _frame(r"(?:la )?traduccion (?:de|del|para) (?P<x>.+)", None),
    _frame(r"(?:traduce|traduceme|traducir|traduzca|traduzcame|traducime) (?P<x>.+)", None),
    # ¿Qué es X (en bora)?
    _frame(rf"que es (?P<x>.+) {_TO}", None),
    _frame(r"que es (?P<x>.+)", None),
)

TAIL_LANGUAGE = re.compile(rf"(?P<x>.+) {_TO}")

_ASKING = (
    r"(?:(?:me|nos|te|le) )?(?:puedes|puede|pueden|podrias|podria|podrian|sabes|sabe|sabrias|quiero|quisiera|queria|"
    r"necesito|gustaria|deseo)(?: (?:saber|decir|decirme|decirnos|explicarme|ensenarme|mostrarme|ayudarme a "
    r"(?:saber|decir|traducir)|conocer|aprender|preguntar|preguntarte|que me digas))*"
)
_TELLING = r"(?:dime|digame|dinos|decime|explicame|ensename|muestrame|averigua|busca|buscame|ayudame a saber)"
_FRAME_AHEAD = r"(?=(?:como|que|cual|traduc\w*|traduzca\w*|significado|en bora|la palabra|el significado)\b)"

_PERSON = r"(?:profe|profesor|profesora|maestro|maestra|mentor|amigo|amiga)"

COURTESY_BEFORE = re.compile(
    rf"^(?:(?:hola|buenos dias|buen dia|buenas tardes|buenas noches|buenas(?! (?:tardes|noches))|saludos|por favor|"
    rf"porfa|porfavor)(?: {_PERSON} {_FRAME_AHEAD})? "
    rf"|(?:oye|oiga|disculpa|disculpe|perdon|gracias|ok|vale|bueno|entonces|ahora|pero|{_PERSON}) {_FRAME_AHEAD}"
    rf"|{_ASKING} {_FRAME_AHEAD}|{_TELLING} (?:por favor )?|y )"
)
COURTESY_AFTER = re.compile(
    r" (?:por favor|por fa|porfa|porfavor|porfis|plis|pls|gracias|muchas gracias"
    r"|para (?:mi|la|una|un|el) (?:tarea|clase|trabajo|examen|colegio|escuela))$"
)
LABELS = re.compile(
    rf"^(?:(?:a |de )?(?:la|el|esta|este|una|un) {_NOUN}(?: (?:en |del )?(?:{_LANGUAGE}))? "
    rf"|{_NOUN} (?:{_LANGUAGE}) |que |(?:(?:los|las|ustedes(?: los)?) boras?|ustedes|ellos|la gente) a )"
)

_STOP_TEXT = (
    "a al algo ante aquel asi aun bajo cada como con cual cuales cuando cuanto de del desde donde e el ella ellas "
    "ellos en entre era eres es esa ese eso esta estas este esto estos fue ha hacia hasta hay he la las le les lo "
    "los mas me mi mis muy ni no nos o os para pero por porque que quien quienes se segun ser si sin sobre solo "
    "son soy su sus tambien te tu tus u un una unas uno unos y ya yo bora espanol castellano idioma lengua "
    "palabra dice decir dime significa significado quiere traduce traducir traduccion hola gracias favor puedes "
    "podrias puede podria saber quiero quisiera"
)
STOP_WORDS = frozenset(_STOP_TEXT.split())
"""Words without meaning for the search, except when they are the whole query."""


def language_direction(name: str, *, source: bool) -> Direction:
    """Return the direction for the named target language or, with ``source``, the term's own language."""
    is_bora = name.endswith("bora")
    return "es_bora" if is_bora != source else "bora_es"
