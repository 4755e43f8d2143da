"""Ranking of candidates: whole phrases before parts of phrases before words before meaning.

Every kind of evidence has its own band of scores (0..1), so that vector similarity never ranks a
document above one that contains the word asked for.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from adapters.ports.documents import Direction, SearchHit
from adapters.ports.search import Candidate, Evidence, ParsedQuery, Weighed
from services.mentor.lexicon.asked import Asked
from services.mentor.lexicon.fields import phrase_keys
from services.mentor.lexicon.folding import normalise
from services.mentor.lexicon.forms import one_typo_apart

WHOLE_LEMMA, WHOLE_GLOSS, WHOLE_ASKED_GLOSS = 0.98, 0.93, 0.97
LATER_SENSE = 0.01
STEMMED_LEMMA = 0.82
INFLECTED_LEMMA, UNLIKELY_FORM = 0.815, 0.003
INSIDE_LEMMA, INSIDE_GLOSS, INSIDE_TEXT, INSIDE_SPAN = 0.68, 0.64, 0.45, 0.12
TYPO_LEMMA, TYPO_GLOSS, TYPO_TERM = 0.78, 0.76, 0.60
WINDOW_BASE, WINDOW_SPAN = 0.14, 0.50
WORDS_BASE, WORDS_SPAN = 0.15, 0.42
VECTOR_SPAN = 0.40
MIN_SIMILARITY = 0.30
OTHER_LANGUAGE = 0.10
SAME_SPELLING = 0.02
AS_TYPED = 0.03
VECTOR_TIE_BREAK = 0.01
SUBENTRY_TIE_BREAK = 0.005
FIELD_WEIGHTS = {"a": 1.0, "b": 0.8, "c": 0.45, "": 0.0}


def weigh(query: ParsedQuery, candidates: Sequence[Candidate], total: int) -> list[Weighed]:
    """Return the candidates with what their words are worth; ``total`` documents decide the weight of rare words."""
    question = Asked(query)
    return [
        Weighed(candidate, sorted(_evidence(question, candidate, total), key=_worst_last)) for candidate in candidates
    ]


def rank(weighed: Sequence[Weighed], similarities: Mapping[str, float], top_k: int) -> list[SearchHit]:
    """Return the best ``top_k`` with their scores and reasons; ``similarities`` are cosines by document id."""
    ranked = []
    for candidate, of_words in weighed:
        similarity, evidence = similarities.get(candidate.id, 0.0), of_words
        if similarity >= MIN_SIMILARITY:
            evidence = sorted([*of_words, Evidence(VECTOR_SPAN * min(similarity, 1.0), "vector")], key=_worst_last)
        if evidence:
            tie_break = VECTOR_TIE_BREAK * max(similarity, 0.0)
            if candidate.metadata.get("part") == "subentry":
                tie_break -= SUBENTRY_TIE_BREAK
            ranked.append((evidence[0].score + tie_break, evidence, candidate))
    ranked.sort(key=lambda row: (-row[0], len(row[2].content), row[2].id))
    return [
        SearchHit(
            found.id,
            found.kind,
            found.content,
            round(min(max(score, 0.0), 1.0), 4),
            tuple(dict.fromkeys(item.matched_on for item in evidence)),
            found.metadata,
        )
        for score, evidence, found in ranked[:top_k]
    ]


def _worst_last(evidence: Evidence) -> float:
    return -evidence.score


def _evidence(question: Asked, candidate: Candidate, total: int) -> list[Evidence]:
    query, weights = question.query, _weights(total, tuple(candidate.term_counts))
    found = [
        *_whole(question, candidate),
        *_inside(query.direction, question.forms, candidate),
        *_words(question, candidate, weights),
        *_inflected(question, candidate),
    ]
    if not any(item.score > TYPO_LEMMA for item in found):
        found += _typo(question, candidate)
        found += _part(question, candidate, weights)
    return found


def _whole(question: Asked, candidate: Candidate) -> list[Evidence]:
    """Evidence that the phrase equals the lemma, a variant or one sense of the gloss."""
    found = []
    asked, forms, spelled = question.query.direction, question.whole, question.spelled
    part = candidate.metadata.get("part")
    if any(form in candidate.lemma_keys for form in forms):
        lemma = str(candidate.metadata.get("lemma", ""))
        own = phrase_keys([lemma])
        name = "example" if part == "example" else "lemma" if any(form in own for form in forms) else "variant"
        score = WHOLE_LEMMA - _language_penalty(asked, candidate.direction, of_lemma=True)
        if name == "lemma" and normalise(lemma) == spelled:
            score += SAME_SPELLING
        if any(form in candidate.lemma_keys for form in question.typed):
            score = WHOLE_LEMMA + AS_TYPED
        found.append(Evidence(score, name))
        if part == "subentry":
            found.append(Evidence(score, "subentry"))
    places = [candidate.gloss_keys.index(form) for form in forms if form in candidate.gloss_keys]
    if places:
        penalty = _language_penalty(asked, candidate.direction, of_lemma=False)
        base = WHOLE_ASKED_GLOSS if asked and not penalty else WHOLE_GLOSS
        sense = normalise(str(candidate.metadata.get("gloss", "")))
        same = SAME_SPELLING if spelled and spelled in sense else 0.0
        score = base - penalty - LATER_SENSE * min(*places, 3) + same
        found.append(Evidence(score, "example" if part == "example" else "gloss"))
    return found


def _inside(asked: Direction | None, forms: list[str], candidate: Candidate) -> list[Evidence]:
    """Evidence that a longer field contains the phrase, word by word."""
    found: list[Evidence] = []
    form = forms[-1] if forms else ""
    if not form:
        return found
    for text, base, name, of_lemma in (
        (candidate.text_a, INSIDE_LEMMA, "lemma", True),
        (candidate.text_b, INSIDE_GLOSS, "gloss", False),
    ):
        if f" {form} " in f" {text} ":
            share = len(form.split()) / len(text.split())
            penalty = _language_penalty(asked, candidate.direction, of_lemma=of_lemma)
            found.append(Evidence(base + INSIDE_SPAN * share - penalty, name))
    if f" {form} " in f" {candidate.text_c} ":
        share = min(1.0, len(form.split()) / len(candidate.text_c.split()))
        name = "example" if candidate.metadata.get("part") == "example" else "words"
        found.append(Evidence(INSIDE_TEXT + INSIDE_SPAN * share, name))
    return found


def _words(question: Asked, candidate: Candidate, weights: Sequence[float]) -> list[Evidence]:
    """Evidence from single terms, weighted by rarity, in any field and any form known to the stemmer."""
    if not any(candidate.term_fields):
        return []
    query = question.query
    pairs = zip(weights, candidate.term_fields, strict=True)
    coverage = sum(weight * FIELD_WEIGHTS[field] for weight, field in pairs) / sum(weights)
    found = [Evidence(WORDS_BASE + WORDS_SPAN * coverage, "words")]
    in_lemma = all(field == "a" for field in candidate.term_fields)
    if in_lemma and any(len(key.split()) <= len(query.phrase.split()) for key in candidate.lemma_keys):
        penalty = _language_penalty(query.direction, candidate.direction, of_lemma=True)
        found.append(Evidence(STEMMED_LEMMA - penalty, "lemma"))
    return found


def _inflected(question: Asked, candidate: Candidate) -> list[Evidence]:
    """Evidence that the Spanish side is the phrase, or a word of it, in the form in which dictionaries list it."""
    if candidate.metadata.get("part") == "example" or question.query.direction == "bora_es":
        return []
    keys = candidate.gloss_keys if candidate.direction == "bora_es" else candidate.lemma_keys
    place = next((place for place, form in enumerate(question.inflected) if form in keys), None)
    if place is not None:
        return [Evidence(INFLECTED_LEMMA - UNLIKELY_FORM * min(place, 9), "lemma")]
    return [Evidence(WORDS_BASE, "words")] if question.term_forms.keys() & set(keys) else []


def _part(question: Asked, candidate: Candidate, weights: Sequence[float]) -> list[Evidence]:
    """Evidence that part of the phrase equals the lemma or a sense of the gloss, weighted by rarity."""
    if not question.windows or candidate.metadata.get("part") == "example":
        return []
    weight_of = dict(zip(question.query.terms, weights, strict=True))
    found = []
    for keys, name in ((candidate.lemma_keys, "lemma"), (candidate.gloss_keys, "gloss")):
        shares = [sum(weight_of.get(word, 0.0) for word in set(key.split())) for key in keys if key in question.windows]
        if shares:
            penalty = _language_penalty(question.query.direction, candidate.direction, of_lemma=name == "lemma")
            found.append(Evidence(WINDOW_BASE + WINDOW_SPAN * max(shares) / sum(weights) - penalty, name))
    return found


@lru_cache(maxsize=64)  # all candidates of a question have the same counts
def _weights(total: int, counts: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(math.log(1 + (total + 1) / (count + 1)) for count in counts)


def _typo(question: Asked, candidate: Candidate) -> list[Evidence]:
    """Evidence with one letter added, missing, wrong or swapped; of a single term only if no document contains it."""
    if candidate.metadata.get("part") == "example":
        return []
    query, found = question.query, []
    counted = zip(query.terms, candidate.term_counts, strict=True)
    unknown = [term for term, count in counted if not count] if len(query.terms) > 1 else []
    for keys, base, of_lemma in ((candidate.lemma_keys, TYPO_LEMMA, True), (candidate.gloss_keys, TYPO_GLOSS, False)):
        penalty = _language_penalty(query.direction, candidate.direction, of_lemma=of_lemma)
        if any(one_typo_apart(form, key) for form in question.whole for key in keys):
            found.append(Evidence(base - penalty, "typo"))
        elif any(one_typo_apart(term, key) for term in unknown for key in keys):
            found.append(Evidence(TYPO_TERM - penalty, "typo"))
    return found


def _language_penalty(asked: Direction | None, stored: str | None, *, of_lemma: bool) -> float:
    """Return the penalty for a field in another language than the phrase."""
    if asked is None or stored is None:
        return 0.0
    return 0.0 if (asked == stored) == of_lemma else OTHER_LANGUAGE
