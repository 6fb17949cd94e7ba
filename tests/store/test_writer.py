"""What is appended stays, whatever happens then."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_sample import HERE, epoch, specs, store_run, study

from bakeoff.errors import StoreError
from bakeoff.store.reader import Reader
from bakeoff.store.writer import CertificateRow, Writer, spool_folder
from bakeoff_worker.records import (
    EpochRecord,
    Facts,
    PhaseEnded,
    RunEnded,
    RunStarted,
    RunWarning,
    to_line,
)

FOLDER = Path(__file__).parent


def begin(writer: Writer, number: int = 0) -> str:
    return writer.begin_run(specs()[number], study_digest="d1", condition=HERE, environment={})


def stored(path: Path, run_id: str) -> list[tuple[int, str]]:
    with Reader(path) as reader:
        return [(seq, to_line(record)) for seq, record in reader.records(run_id)]


def test_a_study_may_plan_more_when_its_results_are_there(path: Path) -> None:
    """What follows is stored beside what was planned, and known when the study is begun again."""
    first, more = specs(backends=("alpha",)), specs(backends=("gamma",))
    trial_ids = {first[0].trial_id}, {first[0].trial_id, more[0].trial_id}
    with Writer(path) as writer:
        assert writer.begin_study(study(first)) == trial_ids[0]
        assert writer.begin_study(study((*first, *more))) == trial_ids[1]
        writer.begin_study(study(specs(backends=("beta",)), digest="d2", name="other"))
    with Writer(path) as writer:
        assert writer.begin_study(study(first)) == trial_ids[1]
    with Reader(path) as reader:
        planned = dict(reader.studies().select("study", "num_planned").iter_rows())
    assert planned == {"pair": 4, "other": 2}


# ---- records survive --------------------------------------------------------------------------------

whole = st.integers(-(2**63), 2**63 - 1)
number = st.floats() | st.integers(-1000, 1000)
unknown = st.none() | st.floats(allow_nan=False)  # NaN CPU seconds are no different from unknown ones
word = st.text(max_size=30)
plain = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | word,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(word, inner, max_size=3),
    max_leaves=6,
)
facts = st.dictionaries(word, plain, max_size=3)
records = st.one_of(
    st.builds(RunStarted, pid=whole, unix_s=number, python=word, measurement_version=whole),
    st.builds(Facts, facts, facts, facts),
    st.builds(PhaseEnded, word, number, unknown, unknown),
    st.builds(
        EpochRecord,
        whole,
        whole,
        *[number] * 6,
        unknown,
        unknown,
        st.none() | whole,
        unknown,
        st.none() | whole,
    ),
    st.builds(RunWarning, word, word),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """One store for all examples of a property."""
    with Writer(tmp_path_factory.mktemp("shared") / "results.sqlite") as writer:
        writer.begin_study(study())
        with Reader(writer.path) as reader:
            yield writer, reader


@pytest.mark.slow
@settings(deadline=None)
@given(given=st.lists(records, max_size=8))
def test_records_come_back_as_they_were(shared, given: list) -> None:
    writer, reader = shared
    run_id = begin(writer)
    for _ in range(2):  # once more changes nothing
        for seq, record in enumerate(given):
            writer.append(run_id, seq, record)
    back = reader.records(run_id)
    assert [seq for seq, _ in back] == list(range(len(given)))
    assert [(type(record), json.loads(to_line(record))) for _, record in back] == [
        (type(record), json.loads(to_line(record))) for record in given
    ]


def test_a_number_holds_one_record(writer: Writer) -> None:
    run_id = begin(writer)
    writer.append(run_id, 0, epoch(1))
    with pytest.raises(StoreError, match="already has another record 0"):
        writer.append(run_id, 0, epoch(1, train_s=9.0))
    writer.append(run_id, None, RunWarning("one"))
    writer.append(run_id, None, RunWarning("two"))
    assert stored(writer.path, run_id) == [
        (-2, to_line(RunWarning("two"))),
        (-1, to_line(RunWarning("one"))),
        (0, to_line(epoch(1))),
    ]


def test_undecodable_output_is_kept(writer: Writer) -> None:
    run_id = begin(writer)
    writer.end_run(run_id, RunEnded("failed", "why\udcff", "last\x00line\udc80"))
    with Reader(writer.path) as reader:
        assert reader.runs().select("reason", "last_lines").row(0) == ("why\\udcff", "last\x00line\\udc80")


def test_attempts_are_counted_per_condition(writer: Writer) -> None:
    for _ in range(2):
        writer.end_run(begin(writer), RunEnded("failed", "no"))
    begin(writer, 1)
    with Reader(writer.path) as reader:
        assert reader.runs()["attempt"].to_list() == [1, 2, 1]


def test_a_run_ends_once(writer: Writer) -> None:
    run_id = begin(writer)
    writer.end_run(run_id, RunEnded("ok"))
    with pytest.raises(StoreError, match="the end of run"):
        writer.end_run(run_id, RunEnded("failed", "again"))
    with pytest.raises(ValueError, match="expected one of ok, failed"):
        writer.end_run(begin(writer), RunEnded("fine"))
    with pytest.raises(TypeError, match="end_run"):
        writer.append(run_id, 9, RunEnded("ok"))


# ---- what a dead writer leaves ----------------------------------------------------------------------

LINES = "".join(
    to_line(record) + "\n" for record in (RunStarted(1, 2.0, "3", 1), epoch(1), epoch(2))
).encode()


@settings(deadline=None)
@given(cut=st.integers(0, len(LINES)))
def test_complete_lines_are_ingested_once(shared, cut: int) -> None:
    writer, reader = shared
    run_id = begin(writer)
    writer.append(run_id, 0, RunStarted(1, 2.0, "3", 1))
    spool = writer.spool_path(run_id)
    spool.write_bytes(LINES[:cut])
    complete = LINES[:cut].count(b"\n")
    assert writer.ingest(run_id).num_added == max(0, complete - 1)
    again = writer.ingest(run_id)
    assert again.num_added == 0
    assert ("torn" in again.complaint) == (cut > 0 and LINES[cut - 1 : cut] != b"\n")
    assert len(reader.records(run_id)) == max(1, complete)


def test_garbage_is_kept_out_and_told(path: Path) -> None:
    with Writer(path) as dead:
        dead.begin_study(study())
        run_id = begin(dead)
        wrong_type = to_line(epoch(3)).replace('"epoch":3', '"epoch":"three"')
        too_big = to_line(epoch(4)).replace('"num_images":600', f'"num_images":{2**64}')
        lines = [
            b"Segmentation fault",
            b"\xff\xfe",
            wrong_type.encode(),
            to_line(RunEnded("fine")).encode(),
            too_big.encode(),
            to_line(epoch(1)).encode(),
        ]
        dead.spool_path(run_id).write_bytes(b"\n".join([*lines, b'{"kind":"ep']))
        dead.spool_path(run_id).with_suffix(".log").write_text("\n".join(map(str, range(100))))
    with Writer(path) as writer:
        (recovered,) = writer.recover()
        assert writer.recover() == ()
    assert (recovered.run_id, recovered.label, recovered.num_added) == (run_id, "Alpha", 1)
    assert recovered.end.status == "interrupted"
    assert "epochs kept: 1; lines [1, 2, 3, 4, 5] of its records are garbage" in recovered.end.reason
    assert "torn after 11 bytes" in recovered.end.reason
    assert recovered.end.last_lines.splitlines() == [str(number) for number in range(80, 100)]
    assert stored(path, run_id) == [(5, to_line(epoch(1)))]
    assert not spool_folder(path).exists()


def test_an_end_that_the_worker_wrote_counts(path: Path) -> None:
    with Writer(path) as dead:
        dead.begin_study(study())
        run_id = begin(dead)
        dead.spool_path(run_id).write_text(to_line(epoch(1)) + "\n" + to_line(RunEnded("ok")) + "\n")
    with Writer(path) as writer:
        assert [(found.num_added, found.end) for found in writer.recover()] == [(1, RunEnded("ok"))]


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_stored(path: Path) -> None:
    chance = random.Random(4)
    safe: set[tuple[str, int]] = set()
    ended: set[str] = set()
    for _ in range(10):
        command = [sys.executable, str(FOLDER / "write_until_killed.py"), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            for line in process.stdout:
                what, run_id, seq = line.split()
                if what == "ended":
                    ended.add(run_id)
                else:
                    safe.add((run_id, int(seq)))  # what the worker wrote counts as soon as it is on the disk
                if chance.random() < 0.01:
                    process.kill()
                    break
            for line in process.stdout:  # what it did until the signal came
                if line.endswith("\n") and not line.startswith("ended"):
                    _, run_id, seq = line.split()
                    safe.add((run_id, int(seq)))
        with Reader(path) as reader:
            statuses = dict(reader.runs().select("run_id", "status").iter_rows())
        assert "running" not in statuses.values()
        assert all(statuses[run_id] == "ok" for run_id in ended)
    with Writer(path) as writer:  # the lock died with its holder
        writer.recover()
    assert safe and len(ended) > 1
    with Reader(path) as reader:
        kept = {(run_id, seq) for run_id in reader.runs()["run_id"] for seq, _ in reader.records(run_id)}
        assert safe <= kept
        assert set(reader.runs()["status"]) <= {"ok", "interrupted"}
        assert reader.epochs().group_by("run_id", "epoch").len()["len"].max() == 1
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


# ---- one writer, and a disk that lets it write -------------------------------------------------------


def test_second_writer_is_told_who_writes(writer: Writer) -> None:
    with pytest.raises(
        StoreError, match=rf"process {os.getpid()} \(started 20\d\d-.*\) is writing"
    ) as caught:
        Writer(writer.path)
    assert "Wait for it" in caught.value.hint
    begin(writer)  # the first goes on


def test_second_writer_may_come_when_the_first_is_gone(path: Path) -> None:
    for _ in range(2):
        with Writer(path):
            pass


def test_readers_never_stand_in_a_writers_way(path: Path, full: Path) -> None:
    with Reader(full) as reader:
        assert reader.runs().height == 4
        with Writer(path) as writer:
            writer.begin_study(study())
            for number in range(3):
                run_id = begin(writer)
                for seq in range(3):
                    writer.append(run_id, seq, epoch(seq + 1))
                    assert reader.epochs().height == 12 + 3 * number + seq + 1
                assert reader.runs()["status"].to_list()[-1] == "running"
        assert reader.runs()["status"].to_list() == ["ok"] * 4 + ["interrupted"] * 3


def test_full_disk_says_what_is_safe(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "fill_disk.py"), str(path)], capture_output=True, text=True, check=True
    )
    run_id, safe, message, hint = done.stdout.splitlines()
    assert f"storing epoch {int(safe) + 1} of run {run_id}" in message
    assert "disk" in message
    assert f"Safe in the store: finished runs: 1; epochs of this run: {safe}." in hint
    with Writer(path) as writer:
        assert [found.run_id for found in writer.recover()] == [run_id]
    assert len(stored(path, run_id)) == int(safe) > 20


def test_no_space_left(writer: Writer) -> None:
    store_run(writer, specs()[0])
    run_id = begin(writer)
    (pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
    writer._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="no space left") as caught:
        for seq in range(1000):
            writer.append(run_id, seq, epoch(seq + 1))
    assert "finished runs: 1" in caught.value.hint
    writer._connection.execute("PRAGMA max_page_count = 1000000")
    writer.append(run_id, 1000, epoch(1001))  # with space again, it goes on


def _delete(path: Path) -> None:
    path.unlink()


def _delete_with_its_log(path: Path) -> None:
    for companion in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + companion).unlink()


def _delete_its_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.sqlite"))


def _replace(path: Path) -> None:
    other = path.with_name("other.sqlite")
    with Writer(other):
        pass
    other.replace(path)


def _delete_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "do", [_delete, _delete_with_its_log, _delete_its_log, _move, _replace, _delete_its_folder]
)
def test_a_store_that_is_not_there_any_more_takes_nothing(tmp_path: Path, do: Callable[[Path], None]) -> None:
    path = tmp_path / "folder" / "results.sqlite"
    writer = Writer(path)
    writer.begin_study(study())
    store_run(writer, specs()[0])
    run_id = begin(writer)
    writer.append(run_id, 0, epoch(1))
    do(path)
    what_is_there = path.read_bytes() if path.exists() else None
    acts = {
        f"storing epoch 2 of run {run_id}": lambda: writer.append(run_id, 1, epoch(2)),
        f"storing the end of run {run_id}": lambda: writer.end_run(run_id, RunEnded("ok")),
        "storing the start of": lambda: begin(writer, 1),
        "storing study pair": lambda: writer.begin_study(study()),
        "storing certificates": lambda: writer.add_certificates([]),
    }
    for what, act in acts.items():
        with pytest.raises(StoreError, match="deleted, moved or replaced") as caught:
            act()
        assert what in caught.value.message
        assert "Safe in the store" not in caught.value.hint
        assert re.search(r"finished runs: 1, epochs: [1-9]", caught.value.hint)
    writer.close()
    assert (path.read_bytes() if path.exists() else None) == what_is_there or do is _delete_its_log


def test_a_store_that_goes_in_the_middle_of_a_write_is_not_called_safe(writer: Writer) -> None:
    class Rows(list[CertificateRow]):
        """None, and the store is gone by the time that one knows."""

        def __iter__(self) -> Iterator[CertificateRow]:
            writer.path.unlink()
            return iter(())

    with pytest.raises(StoreError, match="deleted, moved or replaced"):
        writer.add_certificates(Rows())


def test_read_only_file(unprivileged: Path) -> None:
    path = unprivileged / "results.sqlite"
    with Writer(path):
        pass
    path.chmod(0o444)
    with pytest.raises(StoreError, match="read-only"):
        Writer(path)
    with Reader(path) as reader:
        assert reader.runs().height == 0


def test_read_only_folder(unprivileged: Path) -> None:
    path = unprivileged / "results.sqlite"
    with Writer(path) as writer:
        writer.begin_study(study())
        begin(writer)
    path.with_name(path.name + ".lock").unlink()
    unprivileged.chmod(0o555)
    with pytest.raises(StoreError, match="can't be written: Permission denied"):
        Writer(path)
    with pytest.raises(StoreError, match="folder can't be made"):
        Writer(unprivileged / "new" / "results.sqlite")
    with Reader(path) as reader:
        assert reader.runs()["status"].to_list() == ["interrupted"]


def test_unreadable_file(unprivileged: Path) -> None:
    path = unprivileged / "results.sqlite"
    with Writer(path):
        pass
    path.chmod(0)
    for open_store in (Reader, Writer):
        with pytest.raises(StoreError, match=r"can't be opened|denied"):
            open_store(path)


def test_log_in_a_read_only_folder_is_not_ignored(unprivileged: Path) -> None:
    path = unprivileged / "results.sqlite"
    with Writer(path) as writer:
        writer.begin_study(study())
        copy = unprivileged / "copy"
        copy.mkdir()
        for name in ("results.sqlite", "results.sqlite-wal"):
            (copy / name).write_bytes((unprivileged / name).read_bytes())
    copy.chmod(0o555)
    try:
        with pytest.raises(StoreError, match=r"results\.sqlite-wal, which can't be read"):
            Reader(copy / "results.sqlite")
    finally:
        copy.chmod(0o755)
