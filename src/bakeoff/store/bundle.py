"""Results with their provenance, in one file for another machine.

A bundle is a zip of ``manifest.json`` and ``store.sqlite``, a snapshot of all runs that have ended.
The manifest says what the snapshot is (SHA-256, schema version, counts) and on which machines its
runs were made. Import adds what is not there yet: twice is as good as once, and a run keeps the
condition it was made under, so that results of two machines never share a mean.

The digest finds damage and careless edits; against a forger, who can write a new manifest, it is no help.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bakeoff import __version__
from bakeoff.errors import StoreError
from bakeoff.store.database import connect, explained, transaction
from bakeoff.store.reader import Reader
from bakeoff.store.schema import MIGRATIONS, TABLES, VERSION, definition, migrate, version_of
from bakeoff.store.writer import Writer

# Of the zip's layout; the snapshot has its own version, the schema's.
#   1  manifest.json, store.sqlite
FORMAT_VERSION = 1

_MANIFEST, _SNAPSHOT = "manifest.json", "store.sqlite"
_MANIFEST_BYTES = 1 << 24
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Bundled:
    """What a bundle holds: ended runs, and how many runs were left out because they had not ended."""

    num_runs: int
    num_epochs: int
    num_left_out: int


def export_bundle(store: Path, out: Path) -> Bundled:
    """Write all ended runs of the store to the zip file `out`, replacing it at once; what it holds.

    Works while the store is being written.

    Raises:
        StoreError: the store can't be read or the file can't be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as folder:
            snapshot, partial = Path(folder, _SNAPSHOT), Path(folder, "bundle.zip")
            with Reader(store) as reader, explained(out, "writing the bundle"):
                reader.copy_to(snapshot)
                manifest, bundled = _settle(snapshot)
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
                archive.write(snapshot, _SNAPSHOT)
            partial.replace(out)
    except OSError as error:
        raise StoreError(
            f"{out}: can't be written: {error.strerror or error}", "Name another file."
        ) from error
    return bundled


def import_bundle(store: Path, bundle: Path) -> int:
    """Add a bundle's results to the store, which is made if need be; how many runs are new.

    Raises:
        StoreError: no bundle, damaged, edited, or newer than this version; or the store can't be written.
            The store is then as it was.
    """
    with tempfile.TemporaryDirectory(prefix="bakeoff-import-") as folder:
        snapshot = Path(folder, _SNAPSHOT)
        try:
            with zipfile.ZipFile(bundle) as archive:
                _extract(archive, bundle, snapshot)
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise StoreError(f"{bundle}: can't be read as a bundle: {error}", _HINT) from error
        with explained(bundle, "reading the bundle"):
            _check_snapshot(snapshot, bundle)
        with Writer(store) as writer:
            return writer.merge(snapshot)


_HINT = "Write it again with `bakeoff export --bundle`, and copy it in binary mode."


def _settle(snapshot: Path) -> tuple[Mapping[str, Any], Bundled]:
    """Make the copy of a store one small file of ended runs; its manifest."""
    connection = connect(snapshot, "rw")
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        with transaction(connection):
            open_runs = "SELECT run_id FROM runs WHERE run_id NOT IN (SELECT run_id FROM run_ends)"
            for table in ("epochs", "phases", "records"):
                connection.execute(f"DELETE FROM {table} WHERE run_id IN ({open_runs})")
            num_left_out = connection.execute(f"DELETE FROM runs WHERE run_id IN ({open_runs})").rowcount
        connection.execute("VACUUM")
        counts = {
            table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in TABLES
        }
        machines = {
            machine_id: json.loads(machine)
            for machine_id, machine in connection.execute(
                "SELECT machine_id, machine FROM runs JOIN conditions USING (condition_id)"
                " ORDER BY started_unix_s"
            )
        }
    finally:
        connection.close()
    with snapshot.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = {
        "bakeoff_bundle": FORMAT_VERSION,
        "bakeoff_version": __version__,
        "schema_version": VERSION,
        "created_unix_s": time.time(),
        "members": {_SNAPSHOT: {"sha256": digest, "num_bytes": snapshot.stat().st_size}},
        "rows": counts,
        "machines": machines,
    }
    return manifest, Bundled(counts["runs"], counts["epochs"], num_left_out)


def _extract(archive: zipfile.ZipFile, bundle: Path, snapshot: Path) -> None:
    """Write the one member that counts to a file of our own name, if all is as the manifest says."""
    names = archive.namelist()
    if sorted(names) != sorted((_MANIFEST, _SNAPSHOT)):
        raise StoreError(
            f"{bundle}: expected exactly {_MANIFEST} and {_SNAPSHOT} in it; got {names[:10]}", _HINT
        )
    with archive.open(_MANIFEST) as file:
        text = file.read(_MANIFEST_BYTES)
    try:
        manifest = json.loads(text)
        version, schema = manifest["bakeoff_bundle"], manifest["schema_version"]
        expected = manifest["members"][_SNAPSHOT]
        num_bytes, digest = int(expected["num_bytes"]), str(expected["sha256"])
        newer = version > FORMAT_VERSION or schema > VERSION
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{bundle}: its manifest is damaged ({error})", _HINT) from error
    if newer:
        raise StoreError(
            f"{bundle}: written by a newer Bakeoff (format {version}, schema {schema};"
            f" this one reads up to {FORMAT_VERSION}, {VERSION})",
            "Upgrade with `pip install --upgrade bakeoff`.",
        )
    with archive.open(_SNAPSHOT) as source, snapshot.open("wb") as target:
        got = _copy(source, target, num_bytes)
    if got != digest:
        raise StoreError(f"{bundle}: {_SNAPSHOT} was changed: expected SHA-256 {digest}, got {got}", _HINT)


def _copy(source: IO[bytes], target: IO[bytes], num_bytes: int) -> str:
    """The SHA-256 of what was copied: all of `source`, or just more than it may hold."""
    digest, copied = hashlib.sha256(), 0
    while copied <= num_bytes and (chunk := source.read(_CHUNK_BYTES)):
        digest.update(chunk)
        target.write(chunk)
        copied += len(chunk)
    return digest.hexdigest() if copied == num_bytes else f"of {copied} bytes instead of {num_bytes}"


def _check_snapshot(snapshot: Path, bundle: Path) -> None:
    """Refuse a database that is not exactly ours; bring an older one to the present version."""
    connection = connect(snapshot, "rw")
    try:
        version = version_of(connection, bundle)
        plain = sqlite3.connect(":memory:", isolation_level=None)
        migrate(plain, MIGRATIONS[:version])
        if definition(connection) != definition(plain):  # triggers and views could run while we read
            raise StoreError(f"{bundle}: its tables are not those of schema version {version}", _HINT)
        plain.close()
        migrate(connection)
        problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        problems += [
            f"{row[0]} without its {row[2]}" for row in connection.execute("PRAGMA foreign_key_check")
        ][:3]
        if problems:
            raise StoreError(f"{bundle}: its data are damaged: {'; '.join(problems)}", _HINT)
    finally:
        connection.close()
