"""The text index of all kinds of documents: dictionary entries and texts."""

from dataclasses import replace

from adapters.ports.documents import Document
from adapters.ports.search import IndexFields, Lookup, ParsedQuery
from services.mentor.lexicon.asked import Asked
from services.mentor.lexicon.fields import index_fields, near_codes
from services.mentor.lexicon.folding import FOLDING_VERSION, fold, normalise
from services.mentor.lexicon.ordering import head_words
from services.mentor.lexicon.ranking import rank, weigh
from services.passages.words import indexed

_NEAR_TERM_MIN_CHARS = 5
_MAX_NEAR_TERMS = 6
_MAX_SPELLED_CHARS = 2_000


class LibraryIndex:
    """A ``TextIndex``: folded Spanish and Bora, whole phrases first, typos by deletion neighbourhoods.

    Texts have words but no keys: they are never looked up as entries.
    """

    version = FOLDING_VERSION
    weigh = staticmethod(weigh)
    rank = staticmethod(rank)

    def fields(self, document: Document) -> IndexFields:
        """Return the whole-phrase keys, near keys, weighted texts and listed words of ``document``."""
        if document.kind == "text":
            return IndexFields(passage_text=indexed(document.content))
        return replace(index_fields(document), head_words=head_words(document))

    def lookup(self, query: ParsedQuery) -> Lookup:
        """Return the lookup keys of one question. Terms of five letters or more also match with a typo."""
        spelled = {fold(word): word for word in normalise(query.original[:_MAX_SPELLED_CHARS]).split()}
        asked, terms = Asked(query), list(query.terms)
        near = {code for form in asked.whole for code in near_codes(form)}
        long_terms = [term for term in terms if len(term) >= _NEAR_TERM_MIN_CHARS][:_MAX_NEAR_TERMS]
        near_terms = {code for term in long_terms for code in near_codes(term)} - near
        return Lookup(
            whole=[*asked.whole, *asked.inflected],
            parts=[*asked.windows, *asked.term_forms],
            near=sorted(near),
            near_terms=sorted(near_terms),
            terms=terms,
            accented=[spelled.get(term, term) for term in terms],
        )
