-- Words under which entries stand in the alphabetical lists of both languages. A table of its own: existing entries
-- are added when the backend starts, without touching their rows in rag_documents and the indexes over these.
-- place compares by bytes as the language sorts (services/mentor/lexicon/ordering.py).
CREATE TABLE public.rag_words (
    document_id text NOT NULL REFERENCES public.rag_documents (id) ON DELETE CASCADE,
    language text NOT NULL,
    place text COLLATE "C" NOT NULL,
    word text COLLATE "C" NOT NULL,
    folded text COLLATE "C" NOT NULL,
    own boolean NOT NULL,
    PRIMARY KEY (language, place, word, document_id)
);
CREATE INDEX rag_words_document ON public.rag_words (document_id);
ALTER TABLE public.rag_words ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    somebody text;
BEGIN
    FOR somebody IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON public.rag_words FROM %I', somebody);
    END LOOP;
    -- A role that may write documents (docs/supabase.md, "A role of its own") writes their words too.
    FOR somebody IN
        SELECT DISTINCT r.rolname FROM pg_catalog.pg_class c
        CROSS JOIN pg_catalog.aclexplode(c.relacl) AS granted
        JOIN pg_catalog.pg_roles r ON r.oid = granted.grantee
        WHERE c.oid = 'public.rag_documents'::regclass AND granted.privilege_type = 'INSERT'
            AND granted.grantee <> c.relowner AND r.rolname NOT IN ('anon', 'authenticated')
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, DELETE ON public.rag_words TO %I', somebody);
        EXECUTE pg_catalog.format(
            'CREATE POLICY %I ON public.rag_words TO %I USING (true) WITH CHECK (true)', somebody, somebody);
    END LOOP;
END
$$;
-- Examples and sub-entries of an entry. A hash, because a lemma may be longer than an entry of a B-tree.
CREATE INDEX rag_documents_parent ON public.rag_documents USING hash ((metadata ->> 'parent_lemma'))
    WHERE kind = 'dictionary';
