-- What readers tell of the dictionary, counted: words that were asked for and are not in it, faults of entries,
-- opinions of answers. Nothing here says who asked, or what.
CREATE TABLE public.rag_reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    note text NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, subject, note)
);

-- As for documents (0001, 0003): closed to the roles of Supabase's REST interface.
ALTER TABLE public.rag_reports ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    visitor text;
BEGIN
    FOR visitor IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON public.rag_reports FROM %I', visitor);
    END LOOP;
END
$$;
