-- Documents that are found by whole phrases, by words and by vectors.
-- In braces: {vector} where the extension lives, {dimension} of the vectors.

CREATE TABLE public.rag_documents (
    id text PRIMARY KEY,
    kind text NOT NULL,
    content text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    content_hash text NOT NULL,
    direction text,

    -- Whole phrases, folded; near_keys are codes of the same phrases less one letter, for typos.
    lemma_keys text[] NOT NULL DEFAULT '{{}}',
    gloss_keys text[] NOT NULL DEFAULT '{{}}',
    near_keys integer[] NOT NULL DEFAULT '{{}}',

    -- Words: a = lemma and variants, b = gloss and synonyms, c = the rest. text_ is folded and for both
    -- languages, stem_ is Spanish only and goes through the stemmer.
    text_a text NOT NULL DEFAULT '',
    text_b text NOT NULL DEFAULT '',
    text_c text NOT NULL DEFAULT '',
    stem_a text NOT NULL DEFAULT '',
    stem_b text NOT NULL DEFAULT '',
    stem_c text NOT NULL DEFAULT '',
    words tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('pg_catalog.simple', text_a), 'A')
        || setweight(to_tsvector('pg_catalog.spanish', stem_a), 'A')
        || setweight(to_tsvector('pg_catalog.simple', text_b), 'B')
        || setweight(to_tsvector('pg_catalog.spanish', stem_b), 'B')
        || setweight(to_tsvector('pg_catalog.simple', text_c), 'D')
        || setweight(to_tsvector('pg_catalog.spanish', stem_c), 'D')
    ) STORED,

    -- Filled in later: a document is found by its words at once.
    embedding {vector}.vector({dimension}),
    embedding_fingerprint text,

    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX rag_documents_lemma_keys ON public.rag_documents USING gin (lemma_keys);
CREATE INDEX rag_documents_gloss_keys ON public.rag_documents USING gin (gloss_keys);
CREATE INDEX rag_documents_near_keys ON public.rag_documents USING gin (near_keys);
CREATE INDEX rag_documents_words ON public.rag_documents USING gin (words);
CREATE INDEX rag_documents_fingerprint ON public.rag_documents (embedding_fingerprint, id);
CREATE INDEX rag_documents_embedding ON public.rag_documents USING hnsw (embedding {vector}.vector_cosine_ops);

-- Supabase publishes tables of this schema over its REST interface; without a policy nobody but the
-- owner, which the backend is, reads or writes these.
ALTER TABLE public.rag_documents ENABLE ROW LEVEL SECURITY;
