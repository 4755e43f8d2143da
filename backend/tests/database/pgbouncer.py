"""Debian's PgBouncer in transaction mode, as Supabase's transaction pooler is."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from free_ports import free_port

# Debian puts it where only root's PATH looks.
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
SERVER_CONNECTIONS = 2


class PgBouncer:
    """Stands before a Postgres with two connections to it, whatever the number of its callers."""

    def __init__(self, folder: Path, database_url: str) -> None:
        assert PGBOUNCER is not None
        server = conninfo_to_dict(database_url)
        self._database = str(server["dbname"])
        self._port = free_port()
        self._folder = folder
        self._user = Path(str(server["host"])).owner() if os.geteuid() == 0 else None
        folder.chmod(0o755)
        (folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host={server['host']} port={server.get('port', 5432)} user={server['user']}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 200\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The connection string of the database behind it."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{quote(self._database)}"

    def start(self) -> "PgBouncer":
        as_user = ["-u", self._user] if self._user else []
        command = [str(PGBOUNCER), "-q", *as_user, str(self._folder / "pgbouncer.ini")]
        with (self._folder / "pgbouncer.log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            lines = (self._folder / "pgbouncer.log").read_text(encoding="utf-8")
            assert self._process.poll() is None, lines
            assert time.monotonic() < deadline, lines
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True
