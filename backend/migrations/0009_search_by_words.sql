-- The dictionary's search by words: candidates by whole phrase, with a typo, and by words. A function, because its
-- plan, kept by the server's connection, takes longer to make than the search itself, and a statement prepared by the
-- client does not pass a transaction pooler.
--   folded, accented: the terms;  whole, parts: keys of phrases;  near, near_terms: codes of keys less one letter.
-- Document counts of the commonest words come from the statistics of ANALYZE; only the rarer words are counted.
-- Rows to rank, 400 a search however common a word is, are selected by rare words. Common words select rows only in
-- combination with all other words; where all words are common, the rarest one also selects rows that contain it in
-- lemma or gloss. The CTEs named *_rows are planned by index as if all rows were wanted, and read only up to the limit
-- of the CTE that uses them. The planner cannot estimate how many rows match a question's keys; where it expects many,
-- it would scan the whole table although every condition has an index.
CREATE FUNCTION public.rag_search_words(
    folded text[], accented text[], whole text[], parts text[], near integer[], near_terms integer[]
) RETURNS TABLE (
    id text, kind text, content text, metadata jsonb, direction text, lemma_keys text[], gloss_keys text[],
    text_a text, text_b text, text_c text, term_fields text[], term_counts bigint[]
) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $function$
#variable_conflict use_column
BEGIN
RETURN QUERY
WITH asked AS MATERIALIZED (
    SELECT t.ord, plainto_tsquery('pg_catalog.simple', t.folded)
            || plainto_tsquery('pg_catalog.spanish', t.folded)
            || plainto_tsquery('pg_catalog.spanish', t.accented) AS tsq,
        tsvector_to_array(to_tsvector('pg_catalog.simple', t.folded)
            || to_tsvector('pg_catalog.spanish', t.folded)
            || to_tsvector('pg_catalog.spanish', t.accented)) AS lexemes
    FROM unnest($1, $2) WITH ORDINALITY AS t(folded, accented, ord)
),
common AS MATERIALIZED (
    SELECT s.most_common_elems::text::text[] AS lexemes, s.most_common_elem_freqs AS shares,
        greatest(c.reltuples, 0) AS total
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = 'words'
    WHERE c.oid = 'public.rag_documents'::regclass
),
terms AS MATERIALIZED (
    SELECT a.ord, a.tsq, coalesce(
        (SELECT max(c.shares[array_position(c.lexemes, l)] * c.total)::bigint FROM common c, unnest(a.lexemes) AS l),
        (SELECT count(*) FROM (SELECT 1 FROM public.rag_documents c WHERE c.words @@ a.tsq LIMIT 400) AS counted)
    ) AS documents
    FROM asked a
),
by_rarity AS (
    SELECT tsq, row_number() OVER rarest AS place, sum(documents) OVER rarest AS documents
    FROM terms WHERE numnode(tsq) > 0 WINDOW rarest AS (ORDER BY documents, ord)
),
queries AS MATERIALIZED (
    SELECT string_agg(tsq::text, ' | ')::tsquery AS any_term,
        string_agg(tsq::text, ' | ') FILTER (WHERE place = 1 OR documents <= 400)::tsquery AS rare_terms,
        string_agg('(' || tsq::text || ')', ' & ')::tsquery AS all_terms,
        min(tsq::text) FILTER (WHERE place = 1)::tsquery AS rarest_term,
        max(documents) > 400 AND count(*) > 1 AS some_common,
        min(documents) > 400 AS all_common
    FROM by_rarity
),
lemma_rows AS MATERIALIZED (SELECT id FROM public.rag_documents WHERE lemma_keys && $3),
gloss_rows AS MATERIALIZED (SELECT id FROM public.rag_documents WHERE gloss_keys && $3),
part_rows AS MATERIALIZED (SELECT id FROM public.rag_documents WHERE lemma_keys && $4 OR gloss_keys && $4),
near_rows AS MATERIALIZED (SELECT id FROM public.rag_documents WHERE near_keys && $5),
near_term_rows AS MATERIALIZED (SELECT id FROM public.rag_documents WHERE near_keys && $6),
word_rows AS MATERIALIZED (SELECT id, words FROM public.rag_documents, queries WHERE words @@ rare_terms),
together_rows AS MATERIALIZED (
    SELECT id, words FROM public.rag_documents, queries WHERE some_common AND words @@ all_terms
),
head_rows AS MATERIALIZED (
    SELECT id, words FROM public.rag_documents, queries
    WHERE all_common AND ts_filter(words, '{{a,b}}'::"char"[]) @@ rarest_term
),
worded AS (
    SELECT id FROM (SELECT * FROM word_rows LIMIT 400) AS found, queries
    ORDER BY ts_rank('{{0.1, 0.2, 0.7, 1.0}}'::real[], words, any_term, 1) DESC, id LIMIT 80
),
together AS (
    SELECT id FROM (SELECT * FROM together_rows LIMIT 400) AS found, queries
    ORDER BY ts_rank('{{0.1, 0.2, 0.7, 1.0}}'::real[], words, any_term, 1) DESC, id LIMIT 40
),
heads AS (
    SELECT id FROM (SELECT * FROM head_rows LIMIT 400) AS found, queries
    ORDER BY ts_rank('{{0.1, 0.2, 0.7, 1.0}}'::real[], words, any_term, 1) DESC, id LIMIT 40
),
candidates AS (
    (SELECT id FROM lemma_rows LIMIT 100)
    UNION (SELECT id FROM gloss_rows LIMIT 100)
    UNION (SELECT id FROM part_rows LIMIT 60)
    UNION (SELECT id FROM near_rows LIMIT 60)
    UNION (SELECT id FROM near_term_rows LIMIT 60)
    UNION SELECT id FROM worded UNION SELECT id FROM together UNION SELECT id FROM heads
)
SELECT d.id, d.kind, d.content, d.metadata, d.direction, d.lemma_keys, d.gloss_keys, d.text_a, d.text_b, d.text_c,
    ARRAY(
        SELECT CASE WHEN w.a @@ t.tsq THEN 'a' WHEN w.b @@ t.tsq THEN 'b' WHEN w.words @@ t.tsq THEN 'c' ELSE '' END
        FROM asked t ORDER BY t.ord
    ),
    ARRAY(SELECT t.documents FROM terms t ORDER BY t.ord)
FROM public.rag_documents d JOIN candidates USING (id),
    LATERAL (SELECT ts_filter(d.words, '{{a}}') AS a, ts_filter(d.words, '{{b}}') AS b, d.words OFFSET 0) AS w;
END
$function$;
