"""Documents: ingestion, file formats, vectors."""
