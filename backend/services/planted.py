"""Removal of planted instructions: text in documents that addresses the model instead of the learner.

The patterns cannot catch every phrasing; ``grounding`` is the second barrier. Removed text is absent
from the prompt, from the words an answer may use and from quotations; the stored document is unchanged.
"""

import re

_CONTROL = r"<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?s>"
_TURN = re.compile(_CONTROL, re.IGNORECASE)
"""Start of a forged conversation turn; everything from there to the end of the text is removed."""
_LABELLED_TURN = re.compile(
    r"(?:\A|\n|(?<=[.!?;]\s))[^\S\n]*(?:(?i:(?:#+\s*)?\[?(?:system|assistant|human)\]?\s*:\s*\n)|(?:SYSTEM|ASSISTANT|USER):)[^\n]*"
)
"""A turn under a role's name; removed with its line. "Sistema: Windows" in a manual is not a turn."""
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
_TOKEN = re.compile(
    rf"{_CONTROL}|</?(?:system|assistant|instructions?|sistema|instrucciones|instruções|prompt)\b[^<>]*>", re.IGNORECASE
)
_TELLS = (
    r"(?:responde|responda|responder|contesta|contesten?|conteste|respond|reply|answer|escribe|escriba|escreva|write|print|"
    r"output|repite|repita|di|diga|say)"
)
_ADDRESSED = re.compile(
    rf"\b(?:ignor\w+|olvid\w+|descart\w+|forget|disregard|override|bypass|esque[çc]a\w*|desconsider\w+)\b.{{0,60}}"
    rf"\b(?:{_ORDERS}|instru[çc][õo]es|anterior(?:es)?)\b"
    r"|\b(?:system|developer) (?:prompt|message|override)\b|\b(?:prompt|mensaje|instrucciones) del? sistema\b"
    r"|\A\W*(?:new|updated|nuevas?|novas?)\s+(?:instruc\w+|instru[çc][õo]es|rules?|reglas?|regras?)\s*:"
    rf"|\b{_TELLS}\s+(?:(?:siempre|sempre|always|exactly|exactamente|exatamente|this|esto|ahora|now|please)\s+)*"
    r"(?:solo|s[oó]lo|s[oó] com|solamente|[uú]nicamente|somente|apenas|only|exactly|just|with the (?:word|text)|"
    r"con la palabra|com a palavra)\b"
    rf"|\b(?:a partir de ahora|desde ahora|de ahora en adelante|a partir de agora|from now on)\b.{{0,40}}"
    rf"\b(?:{_TELLS[3:-1]}|eres|you are|you will|voc[eê])\b"
    r"|\b(?:ahora eres|you are now|agora voc[eê] [eé]|act[uú]a como si|act as (?:if|an? )|pretend (?:to be|you)|"
    r"finge que)\b"
    r"|\b(?:revel|muestr|reveal|show|print|repite|repeat|copia|dime|mostr)\w*\b.{0,40}"
    r"\b(?:prompt|your (?:instructions|rules)|tus (?:instrucciones|reglas)|suas (?:instru[çc][õo]es|regras))\b"
    r"|\A\W*(?:asistente|assistant|assistente|chatbot|"
    r"(?:to|para|for) (?:the |la |el |o |a )?(?:ai|ia|assistant|llm))\s*[,:]"
    r"|\b(?:modelo de (?:lenguaje|linguagem)|language model|chatbot|la ia|the ai|an ai|a ia|llm)s?\b.{0,60}"
    rf"\b(?:debe|debes|deve|must|should|shall|tiene que|has to|have to|is to|{_TELLS[3:-1]})\b",
    re.IGNORECASE | re.DOTALL,
)
"""Phrases that address a model; a manual speaks of instructions and of assistants without doing so."""

_NO_MARKUP = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "{": "(", "}": ")", "`": "'"})


def plain(text: str) -> str:
    """Return a document's text without instructions and markup, on one line; empty only if ``text`` is."""
    kept = _LABELLED_TURN.sub("\n", _ROLE_TAG.sub(" ", _SCRIPT.sub(" ", text)))
    turn = _TURN.search(kept)
    kept = kept[: turn.start()] if turn else kept
    kept = _TAG.sub(" ", _IMAGE_OR_LINK.sub(r"\1", kept))
    sentences = [sentence for sentence in _SENTENCE.split(kept) if sentence and not _ADDRESSED.search(sentence)]
    cleaned = " ".join(" ".join(sentences).split())
    if cleaned != " ".join(text.split()):
        cleaned = cleaned.rstrip(" .;")
    # If nothing is left, the text is an instruction as a whole and is kept.
    return cleaned or " ".join(_TAG.sub(" ", text).split()) or " ".join(text.split())


def is_planted(sentence: str) -> bool:
    """Return whether a sentence of a text addresses a model, or holds a model's control tokens."""
    return bool(_TOKEN.search(sentence) or _ADDRESSED.search(sentence))


def as_data(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``text``, safe inside quotation marks in a prompt: without double
    quotation marks and, for any model's template, without control tokens.
    """
    return defused(" ".join(text.split())[:limit]).replace('"', "'")


def defused(text: str) -> str:
    """Return ``text`` without control tokens and markup; quotation marks are kept."""
    return text.translate(_NO_MARKUP)
