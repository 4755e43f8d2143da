"""The table of listed words: the alphabetical lists, one entry with its parts."""

import asyncio

from adapters.ports.documents import Document, Language, ListedWord, ListedWords, ListPosition
from adapters.postgres.database import Connection
from adapters.postgres.store import Store, in_database
from adapters.postgres.tables.document_rows import upsert_parameter

_BATCH = 1_000
_MAX_PARTS = 200
LAST_CHARACTER = "\U0010ffff"

DELETE_WORDS = "DELETE FROM public.rag_words WHERE document_id = ANY(%s::text[])"
# The parameter is that of UPSERT. Two backends that start at once add the same words.
INSERT_WORDS = """
INSERT INTO public.rag_words (document_id, language, place, word, folded, own)
SELECT r.id, w.language, w.place, w.word, w.folded, w.own
FROM jsonb_to_recordset(%s::jsonb) AS r(id text, head_words jsonb),
    jsonb_to_recordset(r.head_words) AS w(language text, place text, word text, folded text, own boolean)
ON CONFLICT DO NOTHING
"""
# Entries without listed words, from an older schema or a backup. The lock prevents changes until their words are
# stored.
WITHOUT_WORDS = """
SELECT d.id, d.kind, d.content, d.metadata FROM public.rag_documents d
WHERE d.id > %(after)s AND d.kind = 'dictionary' AND d.direction IS NOT NULL
    AND d.metadata ->> 'part' IS DISTINCT FROM 'example'
    AND NOT EXISTS (SELECT 1 FROM public.rag_words w WHERE w.document_id = d.id)
ORDER BY d.id LIMIT %(limit)s FOR SHARE OF d
"""
# The page is read from the primary key in order. A meaning is left out where an entry has it for its lemma.
LIST_WORDS = """
WITH listed AS NOT MATERIALIZED (
    SELECT w.document_id, w.place, w.word, w.own FROM public.rag_words w
    WHERE w.language = %(language)s AND (%(pattern)s::text IS NULL OR w.folded LIKE %(pattern)s::text)
        AND (w.own OR NOT EXISTS (SELECT 1 FROM public.rag_words o
                                  WHERE o.language = w.language AND o.place = w.place AND o.own))
),
page AS (
    SELECT * FROM listed
    WHERE (place, word, document_id) > (%(place)s::text, %(word)s::text, %(id)s::text)
        AND place >= %(first)s::text AND place < %(past)s::text
    ORDER BY place, word, document_id LIMIT %(limit)s
),
counted AS (SELECT left(place, 1) AS letter, count(*) AS words FROM listed GROUP BY 1)
SELECT (SELECT coalesce(jsonb_object_agg(letter, words), '{}') FROM counted),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(p.document_id, p.place, p.word,
            coalesce(CASE WHEN p.own THEN d.metadata ->> 'gloss' ELSE d.metadata ->> 'lemma' END, ''),
            coalesce(d.metadata ->> 'pos_full', d.metadata ->> 'pos', ''))
            ORDER BY p.place, p.word, p.document_id), '[]')
     FROM page p JOIN public.rag_documents d ON d.id = p.document_id)
"""
# Homographs share their examples: a part names its entry by the lemma alone.
ENTRY = """
SELECT d.kind, d.content, d.metadata, (
    SELECT coalesce(jsonb_agg(jsonb_build_array(p.id, p.kind, p.content, p.metadata) ORDER BY p.id), '[]')
    FROM (SELECT id, kind, content, metadata FROM public.rag_documents
          WHERE kind = 'dictionary' AND metadata ->> 'parent_lemma' = d.metadata ->> 'lemma' AND id <> d.id
              AND direction IS NOT DISTINCT FROM d.direction
              AND metadata ->> 'source' IS NOT DISTINCT FROM d.metadata ->> 'source'
          LIMIT %(max_parts)s) AS p
)
FROM public.rag_documents d
WHERE d.id = %(id)s AND d.kind = 'dictionary' AND d.metadata ->> 'part' IS DISTINCT FROM 'example'
"""


class WordList(Store):
    """Reads the list; ``Documents`` writes it beside the entries."""

    @in_database()
    async def list_words(
        self, language: Language, *, letter: str, contains: str, after: ListPosition | None, limit: int
    ) -> ListedWords:
        """Return a page of the alphabetical list of a language, and the counts of the whole list. ``contains`` is
        folded, and so holds no wildcard.
        """
        place, word, document_id = after or ("", "", "")
        parameters = {
            "language": language,
            "pattern": f"%{contains}%" if contains else None,
            "place": place,
            "word": word,
            "id": document_id,
            "first": letter,
            "past": letter + LAST_CHARACTER,
            "limit": limit,
        }
        ((counts, words),) = await self.rows(LIST_WORDS, parameters)
        return ListedWords([ListedWord(*word) for word in words], counts)

    @in_database()
    async def entry(self, document_id: str) -> tuple[Document, list[Document]] | None:
        """Return an entry, and its examples and sub-entries; ``None``: there is none."""
        for kind, content, metadata, parts in await self.rows(ENTRY, {"id": document_id, "max_parts": _MAX_PARTS}):
            return Document(document_id, kind, content, metadata), [Document(*part) for part in parts]
        return None

    async def list_entries(self, connection: Connection) -> None:
        """Store the listed words of entries that have none. Each batch is one transaction."""
        after = ""
        while True:
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                found = await connection.execute(WITHOUT_WORDS, {"after": after, "limit": _BATCH})
                documents = [Document(*row) for row in await found.fetchall()]
                if documents:
                    parameter = await asyncio.to_thread(upsert_parameter, documents, self.index)
                    await connection.execute(INSERT_WORDS, [parameter])
            if len(documents) < _BATCH:
                return
            after = documents[-1].id
