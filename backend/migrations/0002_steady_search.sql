-- Searches must not wait for a vacuum: an entry of a GIN index goes to its place at once, where by default
-- new ones gather in a list that every search reads from end to end.
ALTER INDEX public.rag_documents_lemma_keys SET (fastupdate = off);
ALTER INDEX public.rag_documents_gloss_keys SET (fastupdate = off);
ALTER INDEX public.rag_documents_near_keys SET (fastupdate = off);
ALTER INDEX public.rag_documents_words SET (fastupdate = off);
SELECT gin_clean_pending_list(i.indexrelid::regclass)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE a.amname = 'gin' AND i.indrelid = (SELECT tableoid FROM public.rag_documents LIMIT 1);

-- With an index on the fingerprint the planner sorts all vectors of a model instead of using HNSW; what is
-- looked up by fingerprint is only what has none.
DROP INDEX public.rag_documents_fingerprint;
CREATE INDEX rag_documents_without_vector ON public.rag_documents (id) WHERE embedding_fingerprint IS NULL;
