"""Connections to an SQLite file, and what its errors mean to a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bakeoff.errors import StoreError

_BUSY_S = 10.0  # readers wait only while a killed writer's log is being recovered


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in autocommit mode; `mode` is SQLite's: ``ro``, ``rw``, ``rwc``, or ``ro&immutable=1``."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S)
    connection.execute("PRAGMA trusted_schema = OFF")  # a store from elsewhere runs no code of its own
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the body or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back on a full disk
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors in the body into a `StoreError` that says what was being done."""
    try:
        yield
    except sqlite3.Error as error:
        message, hint = _explanation(error)
        raise StoreError(f"{path}: {doing}: {message}", hint) from error


def _explanation(error: sqlite3.Error) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the primary code
        case sqlite3.SQLITE_FULL:
            return "no space left", "Free some disk space and run the same command again."
        case sqlite3.SQLITE_IOERR:
            return (
                f"the disk refused ({error})",
                "Check the free space, quota and health of the disk, then run again.",
            )
        case sqlite3.SQLITE_READONLY:
            return "it is read-only", "Make the file and its folder writable, or name another store."
        case sqlite3.SQLITE_CANTOPEN:
            return "it can't be opened", "Check that its folder exists and that you may read and write there."
        case sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return "access is denied", "Check the permissions of the file and its folder."
        case sqlite3.SQLITE_NOTADB:
            return "it is not a Bakeoff store, or its head is damaged", "Name another file."
        case sqlite3.SQLITE_CORRUPT:
            return (
                f"the file is damaged ({error})",
                "Import your last bundle into a new store, or rescue rows with `sqlite3 FILE .recover`.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                "another program holds it",
                "Close the program that has the file open (an SQLite browser?).",
            )
        case _:
            return str(error), "Run `bakeoff doctor`; if that finds nothing, please report this."
