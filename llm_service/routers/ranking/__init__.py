"""Documents ranked against a query: ``/v1/rerank`` as Cohere and Jina have it, ``/rerank`` as TEI has it."""
