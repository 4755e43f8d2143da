-- Supabase grants everything on new tables to the roles of its REST interface. Row-level security without a
-- policy keeps them from the rows, but not from TRUNCATE; a policy that somebody adds later would open the rest.
DO $$
DECLARE
    visitor text;
BEGIN
    FOR visitor IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON public.rag_documents, public.rag_migrations FROM %I', visitor);
    END LOOP;
END
$$;
