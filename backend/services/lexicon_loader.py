"""The first documents of an empty database."""

import asyncio
import logging
from pathlib import Path

from adapters.base import DocumentStore
from services.formats import read_file
from services.ingestion import DocumentIngestor

logger = logging.getLogger(__name__)


async def load_sample_lexicon(store: DocumentStore, ingestor: DocumentIngestor, path: Path | None) -> int:
    """Store the sample lexicon unless there are documents already; return how many were stored.

    Vectors are left to the back-fill: words are enough to be found. Raises ``StoreUnavailable``
    and ``UnreadableFile``.
    """
    if path is None or (await store.stats(None)).documents > 0:
        return 0
    parsed = await asyncio.to_thread(read_file, path)
    report = await ingestor.ingest_records(parsed.records, embed=False)
    for problem in (*parsed.problems, *report.rejected):
        logger.warning("sample lexicon: %s", problem)
    logger.info("sample lexicon loaded", extra={"documents": report.inserted, "file": path.name})
    return report.inserted
