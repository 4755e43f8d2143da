"""Background start-up of a live process: database, schema, lexicon; then vectors, continuously."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from adapters.ports.store import StoreTooNew, StoreUnavailable, WrongDimension
from adapters.supabase_adapter import SupabaseAdapter
from services.library.formats import UnreadableFile, read_file
from services.library.ingestion import DocumentIngestor

logger = logging.getLogger(__name__)
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 15.0
"""Delays between attempts: doubled from the first to the longest."""
_RECHECK_S = 60.0
"""Between checks for missing vectors: the service may have restarted with another embedding model."""


class Startup:
    """Background task of the app: start-up, then continuous back-fill of vectors.

    Args:
        store: connected and migrated first.
        ingestor: loads the lexicon and fills in vectors.
        lexicon: file for an empty database, if any.
        on_fingerprint: called with the fingerprint of the stored vectors.

    """

    def __init__(
        self,
        store: SupabaseAdapter,
        ingestor: DocumentIngestor,
        lexicon: Path | None,
        on_fingerprint: Callable[[str | None], None],
    ) -> None:
        self._store = store
        self._ingestor = ingestor
        self._lexicon = lexicon
        self._on_fingerprint = on_fingerprint
        self._database = self._loaded = False
        self._attempted = asyncio.Event()
        self._work = asyncio.Event()

    def checks(self) -> dict[str, bool]:
        """Return each start-up condition and whether it holds."""
        return {"database": self._database, "lexicon": self._loaded}

    async def first_attempt(self, limit_s: float) -> None:
        """Wait up to ``limit_s`` until the lexicon is loaded or a step has failed: before, nothing can be found."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._attempted.wait()

    def kick_backfill(self) -> None:
        """Start a check for documents without vectors."""
        self._work.set()

    async def run(self) -> None:
        """Start up, then keep the vectors complete until cancelled."""
        await self._until_done("database", self._connect)
        await self._until_done("lexicon", self._load)
        await self._keep_vectors()

    async def _connect(self) -> None:
        await self._store.start()
        self._database = True
        logger.info("database ready")

    async def _load(self) -> None:
        """Store the sample lexicon in an empty database. Its vectors are left to the back-fill."""
        if self._lexicon is not None and (await self._store.stats(None)).documents == 0:
            parsed = await asyncio.to_thread(read_file, self._lexicon)
            report = await self._ingestor.ingest_records(parsed.records)
            for problem in parsed.problems:
                logger.warning("sample lexicon: %s", problem)
            logger.info("sample lexicon loaded", extra={"documents": report.inserted, "file": self._lexicon.name})
        self._on_fingerprint((await self._store.stats(None)).embedding_fingerprint)
        self._loaded = True
        self._attempted.set()

    async def _until_done(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        delay = _FIRST_DELAY_S
        while True:
            try:
                await step()
            except StoreTooNew as error:
                await _refuse(error)
            except (StoreUnavailable, UnreadableFile) as error:
                logger.warning("%s not ready: %s", what, error)
            except Exception:
                # Catch everything: a defect must appear in the log and in /readyz instead of ending the task silently.
                logger.exception("%s not ready", what)
            else:
                return
            self._attempted.set()
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_S)

    async def _keep_vectors(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            self._work.clear()
            if await self._fill_in():
                delay, wait_s = _FIRST_DELAY_S, _RECHECK_S
            else:
                delay, wait_s = min(delay * 2, _LONGEST_DELAY_S), delay
            try:
                async with asyncio.timeout(wait_s):
                    await self._work.wait()
            except TimeoutError:
                continue

    async def _fill_in(self) -> bool:
        """Compute missing vectors; return whether none is missing any more."""
        try:
            report = await self._ingestor.embed_pending()
        except StoreUnavailable as error:
            logger.warning("vectors wait for the database: %s", error)
            return False
        except WrongDimension as error:
            logger.warning("no vectors, questions are answered by words only: %s", error)
            return False
        except Exception:
            # Catch everything, as above.
            logger.exception("vectors could not be made")
            return False
        self._on_fingerprint(report.fingerprint)
        if report.embedded:
            logger.info("vectors made", extra={"embedded": report.embedded, "pending": report.pending})
        return report.error is None and report.pending == 0


async def _refuse(error: StoreTooNew) -> None:
    """Stop the process by signal: only a newer version of the program can use the database."""
    logger.critical("the start is refused: %s", error)
    signal.raise_signal(signal.SIGTERM)
    await asyncio.Event().wait()
