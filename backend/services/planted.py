"""Documents are data: takes out of their texts what addresses the model instead of the learner.

A list of patterns, so no proof against all that can be written; what cannot be said in other words
is kept out by ``grounding``. What is taken out here is missing from the prompt, from the words an
answer may use and from what is quoted; the stored document stays as it is.
"""

import re

_TURN = re.compile(
    r"<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?s>"
    r"|(?:\A|\n|(?<=[.!?;]\s))\s*(?:#+\s*)?\[?(?:system|assistant|user|human|sistema|asistente|usuario)\]?\s*:",
    re.IGNORECASE,
)
"""Where a made-up turn of the conversation begins: it goes on to the end of the text."""
_ROLE_TAG = re.compile(
    r"<(system|assistant|user|instructions?|sistema|instrucciones|prompt)\b[^<>]*>.*?(?:</\1\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s[^()]*)?\)")
_SCRIPT = re.compile(r"<(script|style|iframe)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<!--.*?(?:-->|\Z)|</?[a-z][^<>]{0,500}>", re.IGNORECASE | re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?…])[\"')»”]*\s+|\n+")

_ORDERS = (
    r"instruc(?:ciones|tions?)|reglas|rules|prompts?|indicaciones|[oó]rdenes|lo anterior|previous|above|"
    r"todo lo (?:dicho|que)|everything"
)
_INSTRUCTION = re.compile(
    rf"\b(?:ignor\w+|olvid\w+|descart\w+|omit\w+|forget|disregard|override|bypass)\b.{{0,60}}\b(?:{_ORDERS})\b"
    rf"|\b(?:nuevas?|new|updated|tus|your|sus)\s+(?:{_ORDERS})\b"
    r"|\b(?:system|developer)\s+(?:prompt|message|override)\b|\b(?:prompt|mensaje|instrucciones) del sistema\b"
    r"|\b(?:responde|contesta|respond|reply|answer|escribe|write|print|output|repite|repeat|di|say)\s+"
    r"(?:(?:siempre|[uú]nica y exclusivamente|always|exactly|this|esto|ahora|now)\s+)*"
    r"(?:solo|s[oó]lo|solamente|[uú]nicamente|s[oó]lamente|siempre|only|exactly|with|just|en ingl[eé]s|in english)\b"
    r"|\b(?:a partir de ahora|desde ahora|from now on|ahora eres|you are now|act[uú]a como|act as|pretend|finge)\b"
    r"|\b(?:revel|muestr|reveal|show|print|repite|repeat|copia|dime)\w*\b.{0,40}\b(?:prompt|instruc\w+|rules|reglas)\b"
    r"|\b(?:asistente|assistant|modelo de lenguaje|language model|chatbot|la ia|the ai)\b.{0,40}"
    r"\b(?:debe|debes|must|should|tiene que|has to|responde|contesta|answer)\w*",
    re.IGNORECASE | re.DOTALL,
)

_NO_MARKUP = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "{": "(", "}": ")", "`": "'"})


def plain(text: str) -> str:
    """Return a document's text without instructions and markup, on one line; never empty unless ``text`` is."""
    kept = _ROLE_TAG.sub(" ", _SCRIPT.sub(" ", text))
    turn = _TURN.search(kept)
    kept = kept[: turn.start()] if turn else kept
    kept = _TAG.sub(" ", _IMAGE_OR_LINK.sub(r"\1", kept))
    sentences = [sentence for sentence in _SENTENCE.split(kept) if sentence and not _INSTRUCTION.search(sentence)]
    cleaned = " ".join(" ".join(sentences).split())
    if cleaned != " ".join(text.split()):
        cleaned = cleaned.rstrip(" .;")
    # All of it an instruction: then it is at least shown for what it is.
    return cleaned or " ".join(_TAG.sub(" ", text).split()) or " ".join(text.split())


def as_data(text: str, limit: int) -> str:
    """Return a text to be put between quotation marks in a prompt: nothing in it ends the quotation or
    spells a control token, whatever the model's template.
    """
    return defused(" ".join(text.split())[:limit]).replace('"', "'")


def defused(text: str) -> str:
    """Return a text that spells no control token and no markup; its quotation marks stay."""
    return text.translate(_NO_MARKUP)
