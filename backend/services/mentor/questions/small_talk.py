"""Greetings, thanks, and questions about the mentor itself: fixed words with a next step, never a lookup."""

import re

from services.mentor.lexicon.folding import fold

ASK = "Pregúntame, por ejemplo: «¿Cómo se dice perro en bora?» o «¿Qué significa nuhba?»"
_CAN = (
    "Busco palabras en el diccionario, del español al bora y del bora al español: una palabra, varias a la vez "
    "(«perro, gato y venado») o un ejemplo. No invento palabras: si algo no está, te lo digo."
)
_PERSON = r"(?: (?:profe|profesora?|maestr[oa]|mentora?|amig[oa]|a todos|senora?))?"
_POLITE = r"(?:por favor |oye |oiga |disculpa |perdon |y |pero |bueno |ok )*"

_REPLIES = {
    f"¡Hola! {ASK}": (r"(?:hola|holi|buenas|saludos|que tal|hola que tal|que hay|hey|ey)(?: (?:hola|buenas|que tal))?"),
    f"Bien, y con ganas de ayudarte. {ASK}": (
        r"(?:hola )?(?:como (?:estas|esta usted|esta|te va|te encuentras)|que tal (?:estas|todo))"
    ),
    f"De nada. Si quieres otra palabra, dímela. {ASK}": (
        r"(?:(?:muchas|muchisimas|mil|ok|vale|listo|perfecto|genial) )*(?:gracias|gracia|agradezco|te agradezco)"
        r"(?: (?:por (?:todo|tu ayuda|la ayuda|ayudarme)|muchas gracias|de nuevo))*"
    ),
    "¡Hasta pronto! Cuando quieras otra palabra en bora, aquí estoy.": (
        r"(?:adios|chau|chao|hasta (?:luego|manana|pronto|la vista|otro dia)|nos vemos|me voy|bye)"
        r"(?: (?:adios|chau|chao|hasta (?:luego|manana|pronto)|nos vemos|gracias|y gracias))*"
    ),
    f"Soy el mentor de bora, un programa que responde con un diccionario. {ASK}": (
        r"(?:quien|que|como) (?:eres|es usted|sos)(?: tu)?|(?:como|cual) (?:te llamas|se llama usted|es tu nombre)"
        r"|(?:tu )?(?:eres|es usted|sos) (?:una? )?(?:robot|persona|maquina|human[oa]|ia|inteligencia artificial"
        r"|real|bot|programa|profesor|profesora|chatgpt)(?: real)?"
    ),
    f"{_CAN} {ASK}": (
        r"(?:en )?que (?:mas )?(?:puedes|sabes|podes|puede|sabe)(?: hacer| ayudarme)?(?: tu| por mi)?"
        r"|(?:que|como) (?:te|le) (?:puedo|podria|pregunto)(?: (?:preguntar|pedir|hacer))?|que (?:puedo|se puede) "
        r"(?:preguntar|preguntarte|hacer(?: aqui)?|pedir|pedirte)|para que (?:sirves|sirve(?: esto)?|eres)"
        r"|(?:como|que) (?:funciona|funcionas|se usa|uso|haces|hago)(?: (?:esto|eso|aqui|esta pagina))?"
        r"|(?:ayuda|ayudame|ayudeme|auxilio|instrucciones|necesito ayuda|quiero ayuda)"
        r"|(?:me|nos) (?:puedes |podrias |puede )?(?:ayudas|ayudar|ayuda)|(?:puedes|podrias) (?:ayudarme|ayudar)"
        r"|no (?:entiendo|se que preguntar|se usar esto|se como (?:usar esto|preguntar))"
    ),
    f"Todo sale del diccionario: debajo de cada respuesta están las entradas en que se apoya. {ASK}": (
        r"(?:de )?(?:donde|como) (?:sacas|sabes|obtienes|salen|vienen)(?: (?:eso|esto|lo que (?:dices|sabes)"
        r"|(?:las|tus) (?:respuestas|palabras)|la informacion))?|(?:cual es )?(?:tu|la) fuente"
    ),
    f"Cuando quieras, otra palabra. {ASK}": (
        r"(?:ok(?:ay)?|vale|listo|muy bien|de acuerdo|(?:ya )?entiendo|ya veo|jaja\w*|jeje\w*|que (?:bueno|bonito))"
    ),
}
"""Replies with the words that they answer."""
_PATTERNS = [
    (re.compile(rf"{_POLITE}(?:{pattern}){_PERSON}(?: por favor)?"), reply) for reply, pattern in _REPLIES.items()
]


def small_talk(text: str) -> str:
    """Return the reply to small talk, or an empty string for anything else."""
    asked = fold(text[:200])
    return next((reply for pattern, reply in _PATTERNS if pattern.fullmatch(asked)), "")
