"""Every store ever written opens; what is none of ours is refused."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from bakeoff.errors import StoreError
from bakeoff.store import reader as reader_module
from bakeoff.store.reader import Reader
from bakeoff.store.schema import MIGRATIONS, TABLES, VERSION, definition, migrate
from bakeoff.store.writer import Writer
from bakeoff_worker.records import EpochRecord, PhaseEnded

STORES = Path(__file__).parent / "stores"


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_old_store_opens_for_readers_and_writers(version: int, path: Path) -> None:
    shutil.copy(STORES / f"version-{version}.db", path)
    with Reader(path) as reader:
        before = reader.epochs("pair")
        assert before.height == 12
        assert set(reader.runs()["status"]) == {"ok"}
    with Writer(path):
        pass
    with Reader(path) as reader:
        assert reader.epochs("pair").equals(before)
    connection = sqlite3.connect(path)
    assert definition(connection) == definition(fresh())
    connection.close()


def test_old_store_is_read_without_being_changed(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "VERSION", VERSION + 1)
    content = full.read_bytes()
    with Reader(full) as reader:
        assert reader.runs().height == 4
    assert full.read_bytes() == content


def test_migrations_are_applied_once_and_whole() -> None:
    def add(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE runs ADD COLUMN mood TEXT")

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE runs ADD COLUMN weather TEXT")
        raise sqlite3.OperationalError("no")

    connection = fresh()
    for _ in range(2):
        migrate(connection, (*MIGRATIONS, add))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MIGRATIONS, add, fail))
    columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    assert "mood" in columns and "weather" not in columns
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    connection.close()


def test_tables_hold_the_records() -> None:
    connection = fresh()
    for table, cls in (("epochs", EpochRecord), ("phases", PhaseEnded)):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        assert columns == ["run_id", "seq", *(field.name for field in dataclasses.fields(cls))]
    tables = {name for kind, name, _ in definition(connection) if kind == "table"}
    assert tables == set(TABLES)
    connection.close()


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 20] = b"\xa5" * len(content[4096 : 4096 * 20])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (newer, "newer Bakeoff"),
        (foreign, "another program"),
        (damaged, "damaged"),
        (lambda path: path.write_text("notes\n" * 1000), "not a Bakeoff store"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged|not a Bakeoff store"),
    ],
    ids=["newer", "foreign", "damaged", "text", "truncated"],
)
@pytest.mark.parametrize("how", ["read", "write"])
def test_what_is_no_readable_store_is_refused_unchanged(full: Path, spoil, message: str, how: str) -> None:
    spoil(full)
    content = full.read_bytes()
    with pytest.raises(StoreError, match=message) as caught:
        if how == "read":
            with Reader(full) as reader:
                reader.runs(), reader.epochs(), reader.phases(), reader.facts()
        else:
            with Writer(full) as writer:
                writer.recover()
    assert caught.value.hint
    assert full.read_bytes() == content


def test_missing_empty_and_folder(path: Path) -> None:
    with pytest.raises(StoreError, match="no store there"):
        Reader(path)
    path.touch()
    with pytest.raises(StoreError, match="nothing is stored"):
        Reader(path)
    with pytest.raises(StoreError, match="is a folder"):
        Writer(path.parent)
    with Writer(path):  # an empty file is a store that was never begun
        pass
    with Reader(path) as reader:
        assert reader.runs().height == reader.epochs().height == reader.studies().height == 0
        assert reader.runs().schema["started_at"] == pl.Datetime("us", "UTC")


def test_odd_paths(tmp_path: Path) -> None:
    odd = tmp_path / "50% of?it#1 é" / "a&b=c.sqlite"
    with Writer(odd):
        pass
    assert odd.is_file()
    with Reader(odd) as reader:
        assert reader.runs().height == 0
