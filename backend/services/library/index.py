"""The text index of all kinds of documents: a dictionary's entries, and texts."""

from adapters.base import Document, IndexFields
from services.mentor.lexicon.index import DictionaryIndex
from services.passages.words import indexed


class LibraryIndex(DictionaryIndex):
    """The dictionary's index, beside texts, which have words but no keys: they are never looked up as entries."""

    def fields(self, document: Document) -> IndexFields:
        """Return the searchable fields of ``document``."""
        if document.kind != "text":
            return super().fields(document)
        return IndexFields(None, [], [], [], "", "", "", "", "", "", passage_text=indexed(document.content))
