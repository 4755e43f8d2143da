"""Sample lexicon for an empty database."""

import asyncio
import logging
from pathlib import Path

from adapters.ports.store import DocumentStore
from services.library.formats import read_file
from services.library.ingestion import DocumentIngestor

logger = logging.getLogger(__name__)


async def load_sample_lexicon(store: DocumentStore, ingestor: DocumentIngestor, path: Path | None) -> int:
    """Store the sample lexicon unless the store has documents; return how many were stored.

    Vectors are left to the back-fill. Raises ``StoreUnavailable`` and ``UnreadableFile``.
    """
    if path is None or (await store.stats(None)).documents > 0:
        return 0
    parsed = await asyncio.to_thread(read_file, path)
    report = await ingestor.ingest_records(parsed.records, embed=False)
    for problem in parsed.problems:
        logger.warning("sample lexicon: %s", problem)
    logger.info("sample lexicon loaded", extra={"documents": report.inserted, "file": path.name})
    return report.inserted
