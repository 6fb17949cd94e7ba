"""A study's contestants are verified once, in time, and whatever goes wrong with that stops nothing."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import polars as pl
import pytest
from invented import Contestant

from bakeoff import session, study, verification
from bakeoff.environments import Environment
from bakeoff.errors import EnvironmentFailure, MachineError
from bakeoff.events import messages
from bakeoff.execute import Provision
from bakeoff.launchers import fake
from bakeoff.store.reader import Reader
from bakeoff.store.writer import Writer
from bakeoff.verification import Beforehand, beforehand, judging
from bakeoff.verification.contestants import groups
from bakeoff.verification.reference.semantics import Semantics
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import RunEnded

pytestmark = pytest.mark.slow

FLIPPED = Contestant(does=Semantics().with_layer(0, flip=True))


class Machine:
    """Contestants by backend: evidence, or how their job ends. Counts the jobs."""

    def __init__(self, folder: Path, **contestants: Contestant | RunEnded | Exception) -> None:
        self.folder, self.contestants = folder, contestants
        self.asked: list[str] = []
        self.scratch: list[Path] = []
        self.told: list[str] = []
        self.digests: dict[str, str] = {}
        self.unmade: dict[str, EnvironmentFailure] = {}

    def launch(self, request):
        settings = request.job.spec.settings
        self.asked.append(settings.backend)
        self.scratch.append(Path(request.job.paths.scratch))
        contestant = self.contestants[settings.backend]
        if isinstance(contestant, Exception):
            raise contestant
        if isinstance(contestant, Contestant):
            dataclasses.replace(contestant, backend=settings.backend).evidence(
                Path(request.job.paths.evidence)
            )
            contestant = RunEnded("ok")
        yield contestant

    def provisions(self, specs):
        return {
            spec.trial_id: self.unmade.get(spec.settings.backend)
            or Provision(self.environment(spec.settings.backend), self.folder)
            for spec in specs
        }

    def environment(self, name: str) -> Environment:
        digest = self.digests.get(name, f"digest of {name}")
        return Environment(name, Path("python"), {}, digest, "managed", self.folder)

    def session(
        self, due: tuple[str, ...] = (), datasets: tuple[str, ...] = ("mnist",), **settings: object
    ) -> pl.DataFrame:
        """One session with a run of each contestant; the certificates that the store has then."""
        specs = [
            RunSpec(TrialSettings(name, name, dataset=dataset, **settings), label, 0, 0, 0, 1)
            for dataset in datasets
            for name in self.contestants
            for label in (name if dataset == "mnist" else f"{name} on {dataset}",)
        ]
        with Writer(self.folder / "store.sqlite") as writer:
            one = Beforehand(
                study.load("smoke"),
                writer,
                self.provisions(specs),
                launcher=self.launch,
                listener=messages(self.told.append),
            )
            for _ in range(2):  # block after block
                waiting = [spec for spec in specs if not due or spec.label in due]
                one.verify(waiting, [(spec.label, spec.settings) for spec in specs])
        with Reader(self.folder / "store.sqlite") as reader:
            return reader.certificates()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Takes contestants by backend; a machine of one core, so that they are asked in their order."""
    made: list[Machine] = []
    monkeypatch.setattr(judging.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(beforehand, "prepare", lambda _, specs, **__: made[0].provisions(specs))

    def make(**contestants):
        made.append(Machine(tmp_path, **contestants))
        return made[0]

    return make


def test_once_for_a_set_of_contestants(machine):
    here = machine(jax=Contestant(), torch=Contestant(), theano=FLIPPED)
    found = here.session()
    assert here.asked[0] == "theano" and sorted(here.asked) == ["jax", "theano", "torch"]
    assert sorted(found["verdict"]) == ["different", "different", "same"]
    words = dict(zip(found["verdict"], found["words"], strict=True))
    assert words["same"].startswith("outputs within ")
    assert words["different"].startswith("theano: forward, ")
    assert any("the same thing is trained by jax, torch" in line for line in here.told)

    here.told.clear()
    again = here.session(epochs=3, train_images=100)  # other trials that the same verification serves
    assert len(here.asked) == 3 and again.equals(found)
    assert here.told == ["whether the contestants train the same thing was verified before"]


def test_what_is_compiled_is_found_by_the_runs(machine, tmp_path):
    here = machine(jax=Contestant(), torch=Contestant())
    here.session()
    assert here.scratch == [tmp_path] * 2


def test_data_sets_of_one_form_are_verified_on_one_of_them(machine):
    here = machine(jax=Contestant(), theano=FLIPPED)
    found = here.session(datasets=("mnist", "fashion_mnist", "cifar10"))
    assert sorted(here.asked) == ["jax"] * 2 + ["theano"] * 2
    assert found.height == 3 and set(found["verdict"]) == {"different"}
    carried = found.filter(pl.col("words").str.ends_with(", on images of mnist"))
    assert carried.height == 1 and carried["words"][0].startswith("theano on fashion_mnist: forward, ")
    fashion = TrialSettings("jax", "jax", dataset="fashion_mnist").verified_id
    assert carried["one_subject"].to_list() == [fashion]
    here.session(datasets=("one.npz", "other.npz"))  # of data of one's own nothing is known
    assert sorted(here.asked) == ["jax"] * 4 + ["theano"] * 4


def test_another_environment_or_recipe_is_verified_anew(machine):
    here = machine(jax=Contestant(), torch=Contestant())
    here.session()
    here.digests["torch"] = "newer"
    assert here.session()["other_environment_digest"].to_list() == ["newer", "digest of torch"]
    assert here.session(learning_rate=0.1).height == 3
    assert here.asked == ["jax", "torch"] * 3


@pytest.mark.parametrize(
    ("ended", "num_attempts"),
    [(RunEnded("failed", "no memory"), 2), (RunEnded("skipped", "not on this CPU"), 1), (RunEnded("ok"), 2)],
)
def test_what_failed_is_tried_again_and_what_declines_is_not(machine, ended, num_attempts):
    here = machine(jax=Contestant(), torch=ended)
    for _ in range(2):
        found = here.session()
        assert found["verdict"][0] == "not compared"
    reason = f"{ended.status}: {ended.reason}" if ended.status != "ok" else "failed: it left no evidence"
    assert found["words"][0] == f"torch: {reason}"
    assert here.asked == ["jax", "torch"] * num_attempts and found.height == num_attempts


def test_a_mistake_of_ours_stops_nothing(machine):
    here = machine(jax=Contestant(), torch=IndexError("a mistake"))
    found = here.session()
    assert found["verdict"].to_list() == ["not compared"]
    assert found["words"][0] == "the verification itself failed: IndexError: a mistake"


def test_what_can_not_be_made_ready_for_it_stops_nothing(machine, monkeypatch):
    here = machine(jax=Contestant(), torch=Contestant())

    def full(*_, **__):
        raise MachineError("the disk is full")

    monkeypatch.setattr(beforehand, "prepare", full)
    found = here.session()
    assert here.asked == [] and found["verdict"].to_list() == ["not compared"]
    assert "the verification itself failed: MachineError: the disk is full" in found["words"][0]


@pytest.mark.timeout(60)
def test_contestants_compute_side_by_side_and_the_first_failure_stops_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(judging.os, "cpu_count", lambda: 2)
    both = threading.Barrier(2)
    ended = []

    def launch(request):
        both.wait()
        if request.job.spec.settings.backend == "jax":
            raise KeyboardInterrupt
        ended.append(request.stop.wait())
        yield RunEnded("interrupted")

    trials = [(name, TrialSettings(name, name)) for name in ("torch", "jax")]
    (group,) = groups(trials)
    environment = Environment("e", Path("python"), {}, "digest", "managed", tmp_path)
    provisions = {one.verified_id: Provision(environment, tmp_path) for one in group.contestants}
    with (
        pytest.raises(KeyboardInterrupt),
        verification.computing([group], provisions, seed=1, launcher=launch) as judged,
    ):
        judged(group)
    assert ended == [True]


def test_an_environment_that_could_not_be_made_is_not_tried_once_more(machine):
    here = machine(jax=Contestant(), torch=Contestant())
    here.unmade["torch"] = EnvironmentFailure("no index", "Ask for one.")
    found = here.session()
    assert here.asked == ["jax"]
    assert found.select("words", "other_environment_digest").row(0) == ("torch: no index", "")


def test_nothing_is_launched_where_nobody_would_be_compared(machine):
    here = machine(jax=Contestant(), fake=RunEnded("failed"))
    assert here.session().is_empty()
    assert here.asked == here.told == []


def test_the_whole_group_of_whoever_is_due(machine):
    here = machine(jax=Contestant(), torch=Contestant())
    assert here.session(due=("torch",)).height == 1
    assert here.session(due=("nobody",), learning_rate=0.1).height == 1


@pytest.mark.parametrize("verify", [True, False])
def test_a_session_verifies_before_its_first_run_unless_told_not_to(machine, tmp_path, monkeypatch, verify):
    here = machine(jax=Contestant(), torch=Contestant())
    monkeypatch.setattr(session, "prepare", lambda _, specs, **__: here.provisions(specs))
    (tmp_path / "pair.toml").write_text(PAIR)
    launched = []

    def launch(request):
        launched.append((request.job.spec.settings.backend, request.job.paths.evidence is not None))
        return here.launch(request) if request.job.paths.evidence else fake.launch(request)

    pair = study.load(tmp_path / "pair.toml")
    store = tmp_path / "store.sqlite"
    tally = session.run(pair, store, listener=messages(here.told.append), launcher=launch, verify=verify)
    assert tally.counts == {"ok": 4}
    assert launched[: 2 * verify] == [("jax", True), ("torch", True)][: 2 * verify]
    assert not any(is_verified for _, is_verified in launched[2 * verify :])
    with Reader(store) as reader:
        found = reader.certificates("pair")
    assert found["verdict"].to_list() == ["same"] * verify
    assert {*found["one_trial"], *found["other_trial"]} == {one.trial_id for one in pair.trials if verify}


PAIR = """
name = "pair"
repeats = 2
[matrix]
backend = ["jax", "torch"]
"""
