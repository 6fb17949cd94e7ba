"""Results reach another machine whole, once, and under the conditions that they were made under."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from store_sample import HERE, epoch, specs, store_run, study

from bakeoff.errors import StoreError
from bakeoff.store.bundle import Bundled, export_bundle, import_bundle
from bakeoff.store.reader import Reader
from bakeoff.store.writer import Condition, Writer

THERE = Condition("machine-there", "environment-1", {"description": "64 cores"})


@pytest.fixture
def bundle(full: Path, tmp_path: Path) -> Path:
    """A bundle of the four runs."""
    assert export_bundle(full, tmp_path / "out" / "results.zip") == Bundled(4, 12, 0)
    return tmp_path / "out" / "results.zip"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another machine's store, with a run of the same trial."""
    path = tmp_path / "elsewhere" / "results.sqlite"
    with Writer(path) as writer:
        writer.begin_study(study())
        store_run(writer, specs()[0], condition=THERE)
    return path


def edit(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Rewrite a bundle's members."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def forge(members: dict[str, bytes], sql: str, folder: Path) -> None:
    """Change the database and the manifest with it, as a forger would."""
    path = folder / "forged.sqlite"
    path.write_bytes(members["store.sqlite"])
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
    members["store.sqlite"] = path.read_bytes()
    manifest = json.loads(members["manifest.json"])
    digest = hashlib.sha256(members["store.sqlite"]).hexdigest()
    manifest["members"]["store.sqlite"] = {"sha256": digest, "num_bytes": len(members["store.sqlite"])}
    members["manifest.json"] = json.dumps(manifest).encode()


def test_import_twice_is_as_good_as_once(bundle: Path, elsewhere: Path, full: Path) -> None:
    assert import_bundle(elsewhere, bundle) == 4
    with Reader(elsewhere) as reader:
        once = reader.runs("pair"), reader.epochs("pair"), reader.phases("pair"), reader.facts("pair")
    assert import_bundle(elsewhere, bundle) == 0
    with Reader(elsewhere) as reader:
        twice = reader.runs("pair"), reader.epochs("pair"), reader.phases("pair"), reader.facts("pair")
    assert all(a.equals(b) for a, b in zip(once, twice, strict=True))
    runs = once[0]
    assert runs["machine_id"].value_counts(sort=True).rows() == [("machine-here", 4), ("machine-there", 1)]
    assert runs["condition_id"].n_unique() == 2
    with Reader(full) as reader:
        assert once[1].filter(condition_id=HERE.condition_id).equals(reader.epochs())


def test_foreign_runs_are_not_done_here(bundle: Path, elsewhere: Path) -> None:
    import_bundle(elsewhere, bundle)
    with Reader(elsewhere) as reader:
        there = {spec.trial_id: THERE.condition_id for spec in specs()}
        assert reader.done(specs(), there) == {(specs()[0].trial_id, 0)}


def test_import_makes_a_store(bundle: Path, tmp_path: Path) -> None:
    assert import_bundle(tmp_path / "new" / "results.sqlite", bundle) == 4


def test_manifest_says_where_the_runs_were_made(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["machines"] == {"machine-here": HERE.machine}
    assert manifest["rows"]["epochs"] == 12


def test_open_runs_stay_at_home_until_they_end(full: Path, tmp_path: Path) -> None:
    bundle, target = tmp_path / "b.zip", tmp_path / "target.sqlite"
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, 0, epoch(1))
        assert export_bundle(full, bundle) == Bundled(4, 12, 1)  # while it is being written
    with Writer(full) as writer:
        writer.recover()
    assert import_bundle(target, bundle) == 4
    assert export_bundle(full, bundle) == Bundled(5, 13, 0)
    assert import_bundle(target, bundle) == 1


def newer_schema(members: dict[str, bytes]) -> None:
    members["manifest.json"] = json.dumps(
        json.loads(members["manifest.json"]) | {"schema_version": 99}
    ).encode()


def newer_format(members: dict[str, bytes]) -> None:
    members["manifest.json"] = json.dumps(
        json.loads(members["manifest.json"]) | {"bakeoff_bundle": 99}
    ).encode()


def flipped_bit(members: dict[str, bytes]) -> None:
    content = bytearray(members["store.sqlite"])
    content[len(content) // 2] ^= 1
    members["store.sqlite"] = bytes(content)


def longer_than_said(members: dict[str, bytes]) -> None:
    members["store.sqlite"] += bytes(50_000_000)


def escaping_member(members: dict[str, bytes]) -> None:
    members["../../evil"] = b"x"


def no_store(members: dict[str, bytes]) -> None:
    del members["store.sqlite"]


def torn_manifest(members: dict[str, bytes]) -> None:
    members["manifest.json"] = members["manifest.json"][:-5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (newer_schema, "newer Bakeoff"),
        (newer_format, "newer Bakeoff"),
        (flipped_bit, "was changed"),
        (longer_than_said, "bytes instead of"),
        (escaping_member, "expected exactly"),
        (no_store, "expected exactly"),
        (torn_manifest, "manifest is damaged"),
    ],
)
def test_edited_bundle_is_refused(
    bundle: Path, elsewhere: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    edit(bundle, change)
    refuse(elsewhere, bundle, message)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END", "tables are not those"),
        ("CREATE VIEW v AS SELECT 1", "tables are not those"),
        ("ALTER TABLE runs ADD COLUMN x", "tables are not those"),
        ("DELETE FROM conditions", "without its conditions"),
        ("PRAGMA application_id = 7", "another program"),
        ("PRAGMA user_version = 9", "newer Bakeoff"),
    ],
)
def test_forged_database_is_refused(
    bundle: Path, elsewhere: Path, tmp_path: Path, sql: str, message: str
) -> None:
    edit(bundle, lambda members: forge(members, sql, tmp_path))
    refuse(elsewhere, bundle, message)


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_truncated_bundle_is_refused(bundle: Path, elsewhere: Path, keep: int) -> None:
    bundle.write_bytes(bundle.read_bytes()[:keep])
    refuse(elsewhere, bundle, "can't be read as a bundle")


def test_missing_bundle(elsewhere: Path, tmp_path: Path) -> None:
    refuse(elsewhere, tmp_path / "none.zip", "No such file")


def refuse(store: Path, bundle: Path, message: str) -> None:
    """The import fails, and the store is as it was."""
    before = store.read_bytes()
    with pytest.raises(StoreError, match=message) as caught:
        import_bundle(store, bundle)
    assert caught.value.hint
    assert store.read_bytes() == before


def test_bundle_that_can_not_be_written(full: Path) -> None:
    with pytest.raises(StoreError, match="can't be written"):
        export_bundle(full, full / "inside-a-file.zip")
    assert [path.name for path in full.parent.glob(".bundle*")] == []
