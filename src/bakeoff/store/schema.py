"""The tables, and how older files become the present form.

A store is an SQLite file with our application id; ``PRAGMA user_version`` counts the migrations that
it has seen. A migration, once released, is never edited: append another, and keep a small store of
the old version in ``tests/store/stores``.

Rows are only ever added. Times are seconds since the Unix epoch, JSON is text. A REAL that is null
where its record demands a number stands for NaN, for which SQLite has no value.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from bakeoff.errors import StoreError
from bakeoff.store.database import transaction

APPLICATION_ID = 0x42414B45  # "BAKE"

Migration = Callable[[sqlite3.Connection], None]


# 1  studies and their plans, runs and how they ended, records
_FIRST_TABLES = """
CREATE TABLE studies (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, document TEXT NOT NULL);

-- Each time somebody ran a study: the present form of a name is the one begun last.
CREATE TABLE begins (
    study_digest TEXT NOT NULL REFERENCES studies, session TEXT NOT NULL, begun_unix_s REAL NOT NULL,
    PRIMARY KEY (study_digest, session));

CREATE TABLE trials (trial_id TEXT PRIMARY KEY, settings TEXT NOT NULL);

CREATE TABLE study_trials (
    study_digest TEXT NOT NULL REFERENCES studies, trial_id TEXT NOT NULL REFERENCES trials,
    label TEXT NOT NULL, axes TEXT NOT NULL,
    PRIMARY KEY (study_digest, trial_id));

-- What a study asks for. A run serves every study that asks for its trial, repeat and seed.
CREATE TABLE planned (
    study_digest TEXT NOT NULL, trial_id TEXT NOT NULL, repeat INTEGER NOT NULL, seed INTEGER NOT NULL,
    PRIMARY KEY (study_digest, trial_id, repeat),
    FOREIGN KEY (study_digest, trial_id) REFERENCES study_trials);

CREATE TABLE conditions (
    condition_id TEXT PRIMARY KEY, machine_id TEXT NOT NULL, environment_digest TEXT NOT NULL,
    measurement_version INTEGER NOT NULL);

-- machine: in full, as it was, since kernel and driver may change while the condition stays.
-- session: the writer that began the run.
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, study_digest TEXT NOT NULL, trial_id TEXT NOT NULL,
    repeat INTEGER NOT NULL, block INTEGER NOT NULL, position INTEGER NOT NULL, attempt INTEGER NOT NULL,
    seed INTEGER NOT NULL, condition_id TEXT NOT NULL REFERENCES conditions,
    machine TEXT NOT NULL, environment TEXT NOT NULL, command TEXT NOT NULL,
    started_unix_s REAL NOT NULL, session TEXT NOT NULL,
    FOREIGN KEY (study_digest, trial_id) REFERENCES study_trials);

CREATE INDEX runs_by_plan ON runs (trial_id, repeat, seed);

CREATE TABLE run_ends (
    run_id TEXT PRIMARY KEY REFERENCES runs, status TEXT NOT NULL, reason TEXT NOT NULL,
    last_lines TEXT NOT NULL, ended_unix_s REAL, wall_s REAL, disturbance TEXT);

CREATE TABLE epochs (
    run_id TEXT NOT NULL REFERENCES runs, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    num_images INTEGER NOT NULL, train_s REAL, evaluation_s REAL, train_loss REAL, train_accuracy REAL,
    validation_loss REAL, validation_error REAL, user_s REAL, system_s REAL, peak_memory_bytes INTEGER,
    device_s REAL, device_peak_memory_bytes INTEGER,
    PRIMARY KEY (run_id, seq)) WITHOUT ROWID;

CREATE TABLE phases (
    run_id TEXT NOT NULL REFERENCES runs, seq INTEGER NOT NULL, name TEXT NOT NULL,
    wall_s REAL, user_s REAL, system_s REAL,
    PRIMARY KEY (run_id, seq)) WITHOUT ROWID;

-- Every other kind of record, as the line that it was.
CREATE TABLE records (
    run_id TEXT NOT NULL REFERENCES runs, seq INTEGER NOT NULL, kind TEXT NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)) WITHOUT ROWID;
"""


# 2  what may be said of two contestants before they are timed
_CERTIFICATES = """
-- subject: what is verified of a trial; trials that differ only in epochs, images or cluster share it.
-- The last one of a pair, under the same conditions, holds. document: judgements and differences in full.
CREATE TABLE certificates (
    certificate_id TEXT PRIMARY KEY, made_unix_s REAL NOT NULL, session TEXT NOT NULL,
    machine_id TEXT NOT NULL, verification_version INTEGER NOT NULL,
    one_subject TEXT NOT NULL, one_environment_digest TEXT NOT NULL,
    other_subject TEXT NOT NULL, other_environment_digest TEXT NOT NULL,
    verdict TEXT NOT NULL, document TEXT NOT NULL);

CREATE INDEX certificates_by_subject ON certificates (one_subject, other_subject);
"""


# 3  where contestants' time goes
_PROFILES = """
-- A profile is no run: nothing in it is ever compared with a timing. label: of the study that asked for it.
-- document: all that was measured.
CREATE TABLE profiles (
    profile_id TEXT PRIMARY KEY, made_unix_s REAL NOT NULL, session TEXT NOT NULL,
    trial_id TEXT NOT NULL, label TEXT NOT NULL, machine_id TEXT NOT NULL, environment_digest TEXT NOT NULL,
    profile_version INTEGER NOT NULL, document TEXT NOT NULL);
"""


def _first_tables(connection: sqlite3.Connection) -> None:
    _execute_all(connection, _FIRST_TABLES)


def _certificates(connection: sqlite3.Connection) -> None:
    _execute_all(connection, _CERTIFICATES)


def _profiles(connection: sqlite3.Connection) -> None:
    _execute_all(connection, _PROFILES)


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";\n"):  # executescript would commit behind our back
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (_first_tables, _certificates, _profiles)
VERSION = len(MIGRATIONS)

# All tables, each after those that it refers to.
TABLES = (
    "studies",
    "begins",
    "trials",
    "study_trials",
    "planned",
    "conditions",
    "runs",
    "run_ends",
    "epochs",
    "phases",
    "records",
    "certificates",
    "profiles",
)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of the store at `path`; 0 for an empty database.

    Raises:
        StoreError: the file belongs to another program, or to a newer Bakeoff.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (num_objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (application_id, version, num_objects) != (0, 0, 0):
        raise StoreError(
            f"{path}: an SQLite database of another program, not a Bakeoff store", "Name another file."
        )
    if version > VERSION:
        raise StoreError(
            f"{path}: written by a newer Bakeoff (schema version {version}; this one knows up to {VERSION})",
            "Upgrade with `pip install --upgrade bakeoff`, or name another store.",
        )
    return int(version)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a database to the newest form, each step in a transaction of its own."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, step in enumerate(migrations[version:], start=version + 1):
        with transaction(connection):
            step(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")


def definition(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Type, name and SQL of everything in the database: equal for equal versions, however old the file."""
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return sorted((kind, name, " ".join(sql.split())) for kind, name, sql in rows)
