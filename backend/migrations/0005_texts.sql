-- Texts have words of their own, in the languages that are configured (passage_languages), and a vector index of
-- their own: beside a large dictionary an index over both would return few texts or none.
ALTER TABLE public.rag_documents
    ADD COLUMN passage_text text NOT NULL DEFAULT '',
    ADD COLUMN passage_languages text NOT NULL DEFAULT '',
    ADD COLUMN passage_words tsvector;
UPDATE public.rag_documents
SET passage_text = stem_c, lemma_keys = '{{}}', gloss_keys = '{{}}', near_keys = '{{}}',
    text_a = '', text_b = '', text_c = '', stem_a = '', stem_b = '', stem_c = ''
WHERE kind = 'text';
CREATE INDEX rag_documents_passage_words ON public.rag_documents USING gin (passage_words) WITH (fastupdate = off);
CREATE INDEX rag_documents_texts ON public.rag_documents (passage_languages) WHERE kind = 'text';
DROP INDEX public.rag_documents_embedding;
CREATE INDEX rag_documents_embedding ON public.rag_documents
    USING hnsw (embedding {vector}.vector_cosine_ops) WHERE kind <> 'text';
CREATE INDEX rag_documents_text_embedding ON public.rag_documents
    USING hnsw (embedding {vector}.vector_cosine_ops) WHERE kind = 'text';
