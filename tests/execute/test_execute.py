"""Launching meets storing: with invented launchers, and the real writer."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bakeoff import cards, machine, plan
from bakeoff.environments import Environment
from bakeoff.environments.java import Java
from bakeoff.errors import BakeoffError, EnvironmentFailure, MachineError, StoreError
from bakeoff.events import Handler
from bakeoff.execute import Provision, Tally, check_memory, condition_of, execute
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch, Launcher, TurnAwaited
from bakeoff.store.reader import Reader
from bakeoff.store.writer import StudyRow, Writer
from bakeoff.study import load
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import EpochRecord, PhaseEnded, Record, RunEnded, RunStarted, to_line

ALTERNATING = {"order": "alternating", "epochs": 4}
ALPHA, BETA = (TrialSettings(backend, "fake", epochs=3) for backend in ("alpha", "beta"))
SPECS = tuple(
    RunSpec(settings, settings.backend, repeat, repeat, position, 10 + repeat)
    for repeat in range(2)
    for position, settings in enumerate((ALPHA, BETA))
)


def provision(folder: Path, digest: str = "packages-1") -> Provision:
    return Provision(Environment("fake", Path("python"), {}, digest, "own", folder), folder)


@pytest.fixture
def provisions(tmp_path: Path) -> dict[str, Provision | BakeoffError]:
    return {ALPHA.trial_id: provision(tmp_path), BETA.trial_id: provision(tmp_path)}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def run(
    store: Path,
    provisions: Mapping[str, Provision | BakeoffError],
    launcher: Launcher = fake.launch,
    listener: Handler | None = None,
    writer_class: type[Writer] = Writer,
) -> Tally:
    with writer_class(store) as writer:
        writer.begin_study(StudyRow("digest", "pair", "A pair", {}, SPECS))
        return execute(
            SPECS,
            provisions,
            study_digest="digest",
            writer=writer,
            launcher=launcher,
            listener=listener or Handler(),
        )


def statuses(store: Path) -> list[tuple[str, int, str, int]]:
    """Backend, repeat, status and number of epochs of each run in the store."""
    with Reader(store) as reader:
        return reader.runs().select("backend", "repeat", "status", "num_epochs").rows()


def epoch(number: int, train_s: float = 1.0) -> EpochRecord:
    return EpochRecord(number, 600, train_s, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.1, 1000)


def test_every_run_is_stored_in_the_order_of_the_plan(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    assert run(store, provisions) == Tally({"ok": 4})
    assert statuses(store) == [
        ("alpha", 0, "ok", 3),
        ("beta", 0, "ok", 3),
        ("alpha", 1, "ok", 3),
        ("beta", 1, "ok", 3),
    ]


def test_a_record_is_in_the_store_before_the_next_is_asked_for_and_before_the_listener_hears(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    def epochs_in_store() -> int:
        with Reader(store) as reader:
            return len(reader.epochs())

    def launcher(request: Launch) -> Generator[Record, None, None]:
        before = epochs_in_store()
        for number in (1, 2):
            yield epoch(number)
            assert epochs_in_store() == before + number
        yield RunEnded("ok")

    heard = []

    class Witness(Handler):
        def recorded(self, spec: RunSpec, record: Record) -> None:
            heard.append(epochs_in_store())

    run(store, provisions, launcher, Witness())
    assert heard == list(range(1, 9))


def test_asking_which_images_were_wrong_is_no_part_of_a_run(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    def launcher(request: Launch) -> Generator[Record, None, None]:
        yield epoch(1)
        time.sleep(0.5)
        yield PhaseEnded("outcomes", 0.5, 0.0, 0.0)
        yield RunEnded("ok")

    run(store, provisions, launcher)
    with Reader(store) as reader:
        runs = reader.runs()
    assert (
        runs["wall_s"] <= (runs["ended_at"] - runs["started_at"]).dt.total_microseconds() / 1e6 - 0.5
    ).all()


def test_a_trial_that_cannot_run_fails_with_the_reason_and_the_others_go_on(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    provisions[ALPHA.trial_id] = EnvironmentFailure("no Python 3.7 here", "Install it.")
    tally = run(store, provisions)
    assert tally == Tally({"ok": 2, "failed": 2}) and not tally.all_ok
    with Reader(store) as reader:
        failed = reader.runs().filter(backend="alpha")
    assert set(failed["reason"]) == {"no Python 3.7 here"} and set(failed["last_lines"]) == {"Install it."}


@pytest.mark.parametrize("status", ["failed", "skipped", "timeout", "killed", "out_of_memory"])
def test_a_run_that_ends_otherwise_keeps_its_epochs_and_the_others_go_on(
    store: Path, provisions: dict[str, Provision | BakeoffError], status: str
) -> None:
    def launcher(request: Launch) -> Generator[Record, None, None]:
        if request.job.spec.settings == BETA:
            yield from fake.launch(request)
            return
        yield epoch(1)
        yield RunEnded(status, "the reason", "the last lines")

    assert run(store, provisions, launcher) == Tally({status: 2, "ok": 2})
    assert ("alpha", 0, status, 1) in statuses(store) and ("beta", 1, "ok", 3) in statuses(store)


def test_values_that_no_record_can_have_are_garbage(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    def launcher(request: Launch) -> Generator[Record, None, None]:
        yield epoch(1)
        yield dataclasses.replace(epoch(2), train_s="fast")  # type: ignore[arg-type]
        raise AssertionError("asked for more after garbage")

    assert run(store, provisions, launcher) == Tally({"garbage": 4})
    with Reader(store) as reader:
        runs = reader.runs()
    assert set(runs["num_epochs"]) == {1}
    assert "train_s" in runs["reason"][0] and "'fast'" in runs["reason"][0]


def test_ctrl_c_loses_no_record_that_the_child_has_written(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    """It comes when the second epoch is on the disk, and nobody has read it yet; a third is half written."""

    def launcher(request: Launch) -> Generator[Record, None, None]:
        lines = "".join(f"{to_line(epoch(number))}\n" for number in (1, 2))
        Path(request.job.paths.records).write_text(lines + to_line(epoch(3))[:20])
        yield epoch(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(store, provisions, launcher)
    assert statuses(store) == [("alpha", 0, "interrupted", 2)]


def test_ctrl_c_ends_the_child_and_the_run_is_interrupted(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    closed = []

    def launcher(request: Launch) -> Generator[Record, None, None]:
        try:
            yield epoch(1)
            raise KeyboardInterrupt
        finally:
            closed.append(request.job.spec)

    with pytest.raises(KeyboardInterrupt):
        run(store, provisions, launcher)
    assert closed == [SPECS[0]]
    assert statuses(store) == [("alpha", 0, "interrupted", 1)]


def test_a_store_that_can_no_longer_be_written_stops_all_and_what_is_safe_stays(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    closed = []

    class Full(Writer):
        def append(self, run_id: str, seq: int | None, record: Record) -> None:
            if isinstance(record, EpochRecord) and record.epoch == 3:
                raise StoreError("no space left")
            super().append(run_id, seq, record)

    def launcher(request: Launch) -> Generator[Record, None, None]:
        try:
            yield from fake.launch(request)
        finally:
            closed.append(request.job.spec)

    with pytest.raises(StoreError, match="no space left"):
        run(store, provisions, launcher, writer_class=Full)
    assert closed == [SPECS[0]]
    with Writer(store) as writer:
        (recovered,) = writer.recover()
    assert recovered.end.status == "interrupted"
    assert statuses(store) == [("alpha", 0, "interrupted", 2)]


def test_the_childs_lines_are_numbered_as_in_its_file(
    store: Path, provisions: dict[str, Provision | BakeoffError]
) -> None:
    """Else `recover` would take one line for another; the end phase, timed by us, is none of the child's."""

    def launcher(request: Launch) -> Generator[Record, None, None]:
        yield RunStarted(1, 0.0, "3.11", 1)
        yield epoch(1)
        yield PhaseEnded("end", 0.1, None, None)
        yield RunEnded("ok")

    run(store, provisions, launcher)
    with Reader(store) as reader:
        records = reader.records(reader.runs()["run_id"][0])
    assert [(seq, type(record)) for seq, record in records] == [
        (-1, PhaseEnded),
        (0, RunStarted),
        (1, EpochRecord),
    ]


def test_a_run_is_told_where_all_that_it_was_provided_with_lies(
    store: Path, provisions: dict[str, Provision | BakeoffError], tmp_path: Path
) -> None:
    whole = dataclasses.replace(
        provision(tmp_path / "arrays"), parquet=tmp_path / "parquet", java=java(tmp_path)
    )
    told = {}

    def launcher(request: Launch) -> Generator[Record, None, None]:
        paths = request.job.paths
        told[request.job.spec.label] = (paths.dataset, paths.parquet, paths.java)
        yield RunEnded("ok")

    run(store, provisions | {ALPHA.trial_id: whole}, launcher)
    assert told["alpha"] == tuple(str(tmp_path / name) for name in ("arrays", "parquet", "jdk"))
    assert told["beta"] == (str(tmp_path), None, None)


def java(folder: Path, build: str = "Vendor 17.0.13+11") -> Java:
    return Java(folder / "jdk", 17, "PATH", build)


def test_another_java_is_another_condition_where_spark_runs_on_it(tmp_path: Path) -> None:
    alone = provision(tmp_path)
    first, same, other = (
        condition_of(dataclasses.replace(alone, java=java(tmp_path, build)))
        for build in ("Vendor 17.0.13+11", "Vendor 17.0.13+11", "Vendor 17.0.14+7")
    )
    assert first.condition_id == same.condition_id != other.condition_id
    assert first.environment_digest == condition_of(alone).environment_digest
    assert condition_of(alone).condition_id not in (first.condition_id, other.condition_id)


def test_other_packages_are_another_condition(tmp_path: Path) -> None:
    first, same, other = (condition_of(provision(tmp_path, digest)) for digest in ("1", "1", "2"))
    assert first.condition_id == same.condition_id != other.condition_id
    assert condition_of(EnvironmentFailure("none")).condition_id not in (
        first.condition_id,
        other.condition_id,
    )


# ---- contestants that take turns ---------------------------------------------------------------------


NAMES = ("alpha", "beta", "gamma")
BLOCKS = tuple(
    RunSpec(TrialSettings(name, "fake", **ALTERNATING), name, repeat, repeat, place, 10 + repeat)  # type: ignore[arg-type]
    for repeat in range(6)
    for place, name in enumerate(NAMES)
)


class Turns(Handler):
    """Who trained, epoch by epoch, and who was told to have ended, block by block."""

    def __init__(self) -> None:
        self.epochs: dict[int, list[str]] = {}
        self.ended: list[tuple[str, int, str]] = []

    def recorded(self, spec: RunSpec, record: Record) -> None:
        if isinstance(record, EpochRecord):
            self.epochs.setdefault(spec.block, []).append(spec.label)

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        self.ended.append((spec.label, spec.block, ended.status))


def alternate(store: Path, folder: Path, launcher: Launcher = fake.launch, specs=BLOCKS) -> Turns:
    turns = Turns()
    planned = (*BLOCKS, *(spec for spec in specs if spec not in BLOCKS))
    with Writer(store) as writer:
        writer.begin_study(StudyRow("digest", "turns", "Turns", {}, planned))
        execute(
            specs,
            {spec.trial_id: provision(folder) for spec in planned},
            study_digest="digest",
            writer=writer,
            launcher=launcher,
            listener=turns,
        )
    return turns


def test_contestants_take_turns_in_an_order_that_is_random_and_balanced(store: Path, tmp_path: Path) -> None:
    turns = alternate(store, tmp_path)
    orders = set()
    for block, trained in turns.epochs.items():
        rounds = [trained[first : first + 3] for first in range(0, 12, 3)]
        assert all(sorted(one) == list(NAMES) for one in rounds), "each once in a round"
        assert rounds[1] == rounds[0][::-1] and rounds[3] == rounds[2][::-1]
        orders |= {tuple(rounds[0]), tuple(rounds[2])}
        assert [status for _, number, status in turns.ended if number == block] == ["ok"] * 3
    assert len(turns.epochs) == 6 and len(orders) >= 4, "12 draws of 6 orders"
    again = alternate(tmp_path / "again.sqlite", tmp_path)
    assert again.epochs == turns.epochs
    with Reader(store) as reader:
        runs = reader.runs()
    assert set(runs["num_alternating"]) == {3} and set(runs["num_turns"]) == {4}
    assert set(runs["settings.order"]) == {"alternating"} and set(runs["num_epochs"]) == {4}


def test_who_solves_another_problem_takes_no_turns_with_them(store: Path, tmp_path: Path) -> None:
    """Two races of a block: one begins when the other is over."""
    study = load(str(write_study(tmp_path)))
    specs = plan.block(study, study.trials, 0)
    turns = alternate(store, tmp_path, specs=specs)
    trained = [label.split(" · ")[0] for label in turns.epochs[0]]
    assert sorted(trained) in (trained, trained[::-1]) and set(trained) == {"mnist", "fashion_mnist"}
    assert [status for *_, status in turns.ended] == ["ok"] * 4
    with Reader(store) as reader:
        assert set(reader.runs()["num_alternating"]) == {2}
    check_memory(specs, dict.fromkeys((spec.trial_id for spec in specs), free_bytes() // 3))


def free_bytes() -> int:
    return machine.snapshot().available_memory_bytes


def write_study(folder: Path) -> Path:
    """Two data sets and two contestants, in turns."""
    file = folder / "turns.toml"
    file.write_text(
        'order = "alternating"\ndefaults = { backend = "fake", epochs = 4 }\n'
        '[matrix]\ndataset = ["mnist", "fashion_mnist"]\nentrant = [{ entry = "A" }, { entry = "B" }]\n'
    )
    return file


def test_what_is_missing_of_a_block_runs_together(store: Path, tmp_path: Path) -> None:
    turns = alternate(store, tmp_path, specs=[spec for spec in BLOCKS if spec.block or spec.label != "beta"])
    assert sorted(turns.epochs[0]) == ["alpha"] * 4 + ["gamma"] * 4
    with Reader(store) as reader:
        assert dict(reader.runs().select("block", "num_alternating").unique().iter_rows())[0] == 2


def test_one_that_dies_leaves_the_others_their_turns(store: Path, tmp_path: Path) -> None:
    def launcher(request: Launch) -> Generator[Record | TurnAwaited, None, None]:
        for record in fake.launch(request):
            if request.job.spec.label == "beta" and getattr(record, "epoch", 0) == 3:
                yield RunEnded("killed", "told to die")
                return
            yield record

    turns = alternate(store, tmp_path, launcher, BLOCKS[:3])
    assert sorted(turns.ended) == [("alpha", 0, "ok"), ("beta", 0, "killed"), ("gamma", 0, "ok")]
    assert sorted(turns.epochs[0]) == ["alpha"] * 4 + ["beta"] * 2 + ["gamma"] * 4


def test_ctrl_c_ends_all_that_live(store: Path, tmp_path: Path) -> None:
    closed = []

    def launcher(request: Launch) -> Generator[Record | TurnAwaited, None, None]:
        try:
            for record in fake.launch(request):
                if request.job.spec.label == "beta" and getattr(record, "epoch", 0) == 2:
                    raise KeyboardInterrupt
                yield record
        finally:
            closed.append(request.job.spec.label)

    with pytest.raises(KeyboardInterrupt):
        alternate(store, tmp_path, launcher)
    assert sorted(closed) == list(NAMES)
    with Reader(store) as reader:
        runs = reader.runs()
    assert runs.select("backend", "status").sort("backend").rows() == [(one, "interrupted") for one in NAMES]


def test_time_in_which_others_train_is_no_time_of_a_run(store: Path, tmp_path: Path) -> None:
    def launcher(request: Launch) -> Generator[Record | TurnAwaited, None, None]:
        for number in (1, 2):
            yield TurnAwaited()
            time.sleep(0.4 if request.job.spec.label == "alpha" else 0.0)
            yield epoch(number)
        yield RunEnded("ok")

    alternate(store, tmp_path, launcher, BLOCKS[:2])
    with Reader(store) as reader:
        wall = dict(reader.runs().select("backend", "wall_s").iter_rows())
        lived = (reader.runs()["ended_at"] - reader.runs()["started_at"]).dt.total_microseconds() / 1e6
    assert wall["alpha"] >= 0.8 and min(lived) >= 0.4
    assert sum(wall.values()) <= max(lived) + 1.0, "times of their own add up to no more than the block's"


def test_contestants_that_do_not_fit_into_memory_together_are_refused_beforehand() -> None:
    peaks = {spec.trial_id: 2**60 for spec in BLOCKS[:2]}
    with pytest.raises(MachineError, match=r"3 contestants .* need 2147483648\.0 GiB"):
        check_memory(BLOCKS[:3], peaks)
    check_memory(BLOCKS[:3], {})
    check_memory(SPECS, dict.fromkeys((ALPHA.trial_id, BETA.trial_id), 2**60))  # one after the other


# ---- on a card ------------------------------------------------------------------------------------


@pytest.fixture
def on_a_card(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """One run on the second of two cards, whose states are these; the run as the store has it."""
    others = [cards.Card(name, name, "580.1", 81559, (9, 0), False) for name in ("first", "second")]
    monkeypatch.setattr(cards, "usable", lambda: tuple(others))

    def build(*states: cards.State, ended: RunEnded = RunEnded("ok")) -> dict[str, Any]:  # noqa: B008
        told = iter(states)
        monkeypatch.setattr(cards, "state", lambda card: next(told) if card.name == "second" else None)

        def launcher(request: Launch) -> Generator[Record, None, None]:
            yield from (epoch(number) for number in range(1, len(states) - 1))
            yield ended

        spec = RunSpec(dataclasses.replace(ALPHA, device="gpu", gpu=1), "alpha", 0, 0, 0, 1)
        with Writer(store) as writer:
            writer.begin_study(StudyRow("digest", "one", "One", {}, (spec,)))
            execute(
                (spec,),
                {spec.trial_id: provision(tmp_path)},
                study_digest="digest",
                writer=writer,
                launcher=launcher,
                listener=Handler(),
            )
        with Reader(store) as reader:
            (row,) = reader.runs().iter_rows(named=True)
        assert next(told, None) is None, "asked before the run, after each epoch, after the run"
        return row

    return build


def test_what_disturbed_a_run_on_its_card_is_kept(on_a_card: Callable[..., dict[str, Any]]) -> None:
    """States before and after a run are of an idle card: of clocks, only those at epochs' ends count."""
    run = on_a_card(
        cards.State(False, 0, 100, 40, 80.0, 1.0),
        cards.State(False, 1, 1980, 61, 120.0, 1.0),
        cards.State(False, 1, 1200, 67, 125.5, 1.5),
        cards.State(False, 2, 100, 60, 90.0, 3.0),
    )
    told = json.loads(run["disturbance"])
    assert (run["status"], told["disturbed"]) == ("ok", True)
    assert [reason.split(":")[0] for reason in told["reasons"] if "GPU" in reason] == [
        "other programs computed on the GPU (2)",
        "the GPU's clock fell to 61% of what it was after the first epoch (limit 80%)",
        "heat slowed the GPU for 2.0 s",
    ]
    assert {key: value for key, value in told["gpu"].items() if key not in ("clock_ratio", "slowed_s")} == {
        "name": "second",
        "num_others": 2,
        "min_clock_mhz": 1200,
        "max_temperature_c": 67,
        "max_power_w": 125.5,
    }


def test_a_card_that_is_lost_is_the_reason(on_a_card: Callable[..., dict[str, Any]]) -> None:
    well, lost = cards.State(False, 0, 1980), cards.State(is_lost=True)
    run = on_a_card(well, well, lost, ended=RunEnded("failed", "the process died of SIGABRT"))
    assert (run["status"], run["num_epochs"]) == ("failed", 1)
    assert run["reason"] == (
        "the GPU (second) no longer answers its driver (NVML: GPU is lost). the process died of SIGABRT"
    )
