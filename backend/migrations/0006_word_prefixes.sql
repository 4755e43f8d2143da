-- Entries by the beginning of their words, in both languages: what is suggested while a question is typed.
-- Keys are folded, so byte order is right, and the one in which a prefix is a range.
CREATE INDEX rag_documents_lemma_prefix ON public.rag_documents ((lemma_keys[1]) COLLATE "C")
    WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example';
CREATE INDEX rag_documents_gloss_prefix ON public.rag_documents ((gloss_keys[1]) COLLATE "C")
    WHERE kind = 'dictionary' AND metadata ->> 'part' IS DISTINCT FROM 'example';
