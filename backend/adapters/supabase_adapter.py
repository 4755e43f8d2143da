"""Documents in Postgres with pgvector: Supabase's, or any other, or the embedded one."""

from adapters.postgres.database import Connection
from adapters.postgres.searches import Searches
from adapters.postgres.tables.documents import Documents
from adapters.postgres.tables.reports import PostgresReports
from adapters.postgres.tables.word_list import WordList
from adapters.postgres.vector_indexes import VectorIndexes


class SupabaseAdapter(Searches, WordList, Documents, VectorIndexes):
    """A ``DocumentStore`` over a bounded connection pool; ``Store`` describes the arguments.

    Works through transaction poolers (no prepared statements, no session state) and reconnects
    when the database comes back.
    """

    @property
    def reports(self) -> PostgresReports:
        """The reports, in the same database."""
        return PostgresReports(self)

    async def ping(self) -> None:
        """Raise ``StoreUnavailable`` unless the database answers."""
        await self.run("SELECT 1", [])

    async def complete(self, connection: Connection) -> None:
        """Index texts of other languages, and list entries stored before there was a list."""
        await self.index_texts(connection)
        await self.list_entries(connection)
