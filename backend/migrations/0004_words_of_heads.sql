-- Words of lemmas and glosses alone: a word that thousands of examples hold is in few of these, so that
-- the entries it belongs to are found without reading the examples.
CREATE INDEX rag_documents_heads ON public.rag_documents
    USING gin (ts_filter(words, '{{a,b}}'::"char"[])) WITH (fastupdate = off);
