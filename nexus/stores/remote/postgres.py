"""Documents as rows of one table in PostgreSQL. The library is psycopg.

What is not said about the server comes from libpq's own places: ``PGHOST``, ``PGPASSWORD``, ``~/.pgpass`` and others.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import psycopg
from psycopg import errors, sql

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.failures import denied, refused
from nexus.stores.remote.objects import ConflictError, Stored, UnreachableError

T = TypeVar("T")
Connection = psycopg.Connection[tuple[object, ...]]

SCHEMA: Final = "nexus"

_TIMEOUT: Final = 20
"""Seconds that a statement may take, and after which a connection without answer is given up."""

_NOT_NOW: Final = (
    *("starting up", "shutting down", "terminating", "recovery", "not accepting", "not yet accepting"),
    *("too many", "connection slots", "no more connections"),
)
"""What a server, or a pool before it, says when it refuses for the moment."""

_SETUP_LOCK: Final = 0x6E65787573
"""Of those who make the table at once, one does; the number is nexus' own."""


def open_postgres(place: Mapping[str, str], prefix: str) -> PostgresObjects:
    """The documents of one environment. libpq reads the environment of the process by itself."""
    said = {"host": "host", "port": "port", "database": "dbname", "user": "user", "sslmode": "sslmode"}
    options = {theirs: place[ours] for ours, theirs in said.items() if ours in place}
    return PostgresObjects(options, place.get("schema", SCHEMA), prefix)


class PostgresObjects:
    """See :class:`nexus.stores.remote.objects.Objects`. One connection, which several threads take turns with."""

    def __init__(self, options: Mapping[str, str], schema: str, prefix: str) -> None:
        self._options = options
        self._prefix = prefix
        self._schema = schema
        self._table = sql.Identifier(schema, "objects")
        self._turn = threading.Lock()
        self._connection: Connection | None = None

    @property
    def place(self) -> str:
        host = self._options.get("host", "")
        port = f":{self._options['port']}" if "port" in self._options else ""
        return f"postgres://{host}{port}/{self._options.get('dbname', '')} ({self._schema}.objects, {self._prefix})"

    def get(self, name: str) -> Stored | None:
        rows = self._read("SELECT content, version FROM {} WHERE prefix = %s AND name = %s", name)
        match rows:
            case [[bytes(content), int(version)]]:
                return Stored(content, str(version))
            case _:
                return None

    def version(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else found.version

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        if expected is None:
            statement = (
                "INSERT INTO {} (content, prefix, name) VALUES (%s, %s, %s) "
                "ON CONFLICT (prefix, name) DO NOTHING RETURNING version"
            )
            arguments: tuple[object, ...] = (content, self._prefix, name)
        else:
            statement = (
                "UPDATE {} SET content = %s, version = DEFAULT, written_at = clock_timestamp() "
                "WHERE prefix = %s AND name = %s AND version = %s RETURNING version"
            )
            arguments = (content, self._prefix, name, int(expected))
        match self._run(lambda connection: self._rows(connection, statement, arguments), make_table=True):
            case [[int(version)]]:
                return str(version)
            case _:
                raise ConflictError

    def remove(self, names: Sequence[str]) -> None:
        self._read("DELETE FROM {} WHERE prefix = %s AND name = ANY(%s) RETURNING name", list(names))

    def names(self, prefix: str) -> Sequence[str]:
        rows = self._read(
            'SELECT name FROM {} WHERE prefix = %s AND starts_with(name, %s) ORDER BY name COLLATE "C"', prefix
        )
        return [str(row[0]) for row in rows]

    def age(self, name: str) -> float | None:
        rows = self._read(
            "SELECT extract(epoch FROM clock_timestamp() - written_at)::float8 FROM {} WHERE prefix = %s AND name = %s",
            name,
        )
        match rows:
            case [[float(seconds)]]:
                return seconds
            case _:
                return None

    # ---- parts

    def _read(self, statement: str, argument: object) -> list[tuple[object, ...]]:
        """Rows; none where there is no table yet, and so nothing was ever written."""
        try:
            return self._run(lambda connection: self._rows(connection, statement, (self._prefix, argument)))
        except errors.UndefinedTable:
            return []

    def _rows(self, connection: Connection, statement: str, arguments: Sequence[object]) -> list[tuple[object, ...]]:
        # The statements are constants of this module; only the table's name is put into them, quoted.
        return connection.execute(sql.SQL(statement).format(self._table), arguments).fetchall()

    def _run(self, work: Callable[[Connection], T], *, make_table: bool = False) -> T:
        with self._turn:
            try:
                connection = self._connected()
                try:
                    return work(connection)
                except errors.UndefinedTable:
                    if not make_table:
                        raise
                    self._make_table(connection)
                    return work(connection)
            except errors.UndefinedTable:
                raise
            except (psycopg.OperationalError, psycopg.InterfaceError) as problem:
                self._disconnect()
                raise self._explained(problem) from problem
            except errors.ReadOnlySqlTransaction as problem:  # another server is the first one by now
                self._disconnect()
                raise UnreachableError(_short(problem)) from problem
            except errors.InsufficientPrivilege as problem:
                raise DiagnosticsError(denied(self.place, _short(problem))) from problem
            except psycopg.Error as problem:
                self._disconnect()
                raise DiagnosticsError(refused(self.place, _short(problem))) from problem

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = psycopg.connect(
                autocommit=True,
                connect_timeout=5,
                tcp_user_timeout=1000 * _TIMEOUT,
                application_name="nexus",
                client_encoding="utf8",  # a database without an encoding would give names as bytes
                prepare_threshold=None,  # statements are not prepared, so that a pool may stand between
                **self._options,  # type: ignore[arg-type]
            )
            connection.execute(f"SET statement_timeout = {1000 * _TIMEOUT}")
            weakref.finalize(self, connection.close)
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _make_table(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (prefix text NOT NULL, name text NOT NULL, "
                    "version bigint GENERATED BY DEFAULT AS IDENTITY, content bytea NOT NULL, "
                    "written_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (prefix, name))"
                ).format(self._table)
            )

    def _explained(self, problem: psycopg.Error) -> Exception:
        text = _short(problem)
        if "FATAL" in text and not any(words in text for words in _NOT_NOW):
            return DiagnosticsError(denied(self.place, text))
        return UnreachableError(text)


def _short(problem: psycopg.Error) -> str:
    return " ".join(str(problem).split())[:300] or type(problem).__name__
