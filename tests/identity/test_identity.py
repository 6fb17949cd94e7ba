"""What own models are known by, through the real program."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.identity import CHANGES, NO_CHANGES, Kind, mid_run, outcome, write_study

import bakeoff_worker
from bakeoff import identity, session
from bakeoff.environments import interpreters
from bakeoff.errors import StudyError
from bakeoff.events import messages
from bakeoff.execute import Provision
from bakeoff.launchers import local
from bakeoff.plan import expand
from bakeoff.prepare import prepare
from bakeoff.store.reader import Reader
from bakeoff.study import load

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The benchmark's study, in a folder and with a cache of its own."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    write_study(tmp_path / "study", "mine.npz")
    return tmp_path / "study"


# Every fifth kind: `make bench-identity` runs all of them, in ten minutes.
@pytest.mark.parametrize("kind", [*CHANGES, *NO_CHANGES][::5], ids=lambda kind: f"{kind.name}, {kind.data}")
def test_every_change_is_noticed_and_nothing_else(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    found = outcome(kind, tmp_path)
    assert found.is_right, found.words


def test_a_module_edited_while_the_study_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    assert mid_run(tmp_path).is_right
    with Reader(tmp_path / "study" / "store.sqlite") as reader:
        assert all("deeper.py was changed" in reason for reason in reader.runs()["reason"])


def run(home: Path, *overrides: str) -> list[str]:
    """What a session says, on its way to a store in the folder."""
    told: list[str] = []
    study = load(home / "study.toml", overrides)
    session.run(study, home / "store.sqlite", listener=messages(told.append), verify=False)
    return told


def test_what_a_model_read_is_stored_with_each_run(home: Path) -> None:
    run(home)
    with Reader(home / "store.sqlite") as reader:
        (files,) = (json.loads(text) for text in reader.inputs("probe")["files"])
        (content,) = (json.loads(text) for text in reader.runs()["settings.content"])
    read = {name for name, digest in files.items() if digest}
    assert read == {
        *("", "helper.py", "deeper.py", "package/__init__.py", "package/part.py", "sizes.json", "kernel.npy"),
        *("bias.txt", "linked.txt", "parts", "parts/a.txt"),
    }
    assert files["extra.py"] == files["extra"] == ""
    assert content["model"].startswith("read:") and content["dataset"].startswith("arrays:")


def test_a_model_is_looked_at_once(home: Path) -> None:
    looking = "looking, once, at what net.py reads (fake)"
    assert looking in run(home)
    assert looking not in run(home, "repeats=2", "epochs=2")
    (home / "nets" / "deeper.py").write_text("WIDTH = 9\n")
    assert looking in run(home)


def test_a_model_that_can_not_be_built_fails_with_its_reason(home: Path) -> None:
    (home / "nets" / "deeper.py").write_text("1 / 0\n")
    run(home)
    with Reader(home / "store.sqlite") as reader:
        (row,) = reader.runs().iter_rows(named=True)
    assert row["status"] == "failed" and "ZeroDivisionError" in row["reason"]
    assert "deeper.py" in row["last_lines"]


def test_two_names_of_one_thing_are_a_mistake(home: Path) -> None:
    (home / "same.npz").write_bytes((home / "mine.npz").read_bytes())
    study = (home / "study.toml").read_text().replace('dataset = "mine.npz"\n', "")
    (home / "study.toml").write_text(f'{study}[matrix]\ndataset = ["mine.npz", "same.npz"]\n')
    with pytest.raises(StudyError, match="trials `mine` and `same`: their models and data hold the same"):
        run(home)


def test_runs_that_an_older_version_named_are_not_counted_and_it_is_said(home: Path) -> None:
    run(home)
    with sqlite3.connect(home / "store.sqlite") as store:
        ((settings,),) = store.execute("SELECT settings FROM trials").fetchall()
        old = json.loads(settings) | {"content": {"model": "0" * 64, "dataset": "1" * 64}}
        store.execute("PRAGMA foreign_keys = OFF")
        store.execute("UPDATE trials SET settings = ?, trial_id = 'older'", (json.dumps(old),))
        for table in ("runs", "planned", "study_trials"):
            store.execute(f"UPDATE {table} SET trial_id = 'older'")
        store.execute("UPDATE studies SET digest = 'before'")
        for table in ("runs", "planned", "study_trials", "begins"):
            store.execute(f"UPDATE {table} SET study_digest = 'before'")
    told = run(home)
    assert any(line.startswith("1 run of an older Bakeoff in the store asked for the same") for line in told)
    assert any("1 of 1 runs to do" in line for line in told)
    with Reader(home / "store.sqlite") as reader:
        assert len(reader.runs("probe")) == 1 and len(reader.runs()) == 2
    assert not any("older Bakeoff" in line for line in run(home, "epochs=2"))


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"cpu_model": "AMD EPYC"}, "an older Bakeoff did not note the processor's family and instructions"),
        ({"cpu_model": "AMD EPYC", "cpu_numbers": "family 25, model 1, stepping 1"}, "another machine"),
    ],
)
def test_runs_on_another_machine_are_made_again_and_it_is_said(
    home: Path, details: dict[str, str], words: str
) -> None:
    run(home)
    with sqlite3.connect(home / "store.sqlite") as store:
        store.execute("PRAGMA foreign_keys = OFF")
        store.execute("UPDATE conditions SET machine_id = 'other', condition_id = 'other'")
        store.execute("UPDATE runs SET condition_id = 'other', machine = ?", (json.dumps(details),))
    told = run(home)
    (line,) = (line for line in told if "under other conditions" in line)
    assert line.startswith("1 of these runs is in the store, but was made under other conditions: ")
    assert f"{words}. What is there stays" in line
    assert any("1 of 1 runs to do" in line for line in told)
    with Reader(home / "store.sqlite") as reader:
        assert reader.runs()["condition_id"].n_unique() == 2
    assert not any("under other conditions" in line for line in run(home)), "they are there now"


def test_a_plan_knows_what_is_known_already(home: Path) -> None:
    study = load(home / "study.toml")
    assert identity.known(study) == study
    run(home)
    with Reader(home / "store.sqlite") as reader:
        assert identity.known(study).trials[0].trial_id == reader.runs()["trial_id"][0]


READS_ALL = """
import io, json, os, pathlib, sys
from bakeoff_worker.reading import Reading

here = pathlib.Path(sys.argv[1])
sys.path.append(str(here))
with Reading(leave_out=[sys.argv[2]]) as reading:
    import helper
    with open(str(here / "sizes.json")) as file:
        file.read()
    (here / "linked.txt").read_text()
    with io.open(str(here / "kernel.npy"), "rb") as file:
        file.read()
    os.close(os.open(str(here / "net.py"), os.O_RDONLY))
    sorted(os.listdir(str(here / "parts")))
    list((here / "package").iterdir())
    with open(str(here / "written.txt"), "w") as file:
        file.write("own")
    (here / "written.txt").read_text()
    with open(sys.argv[2] + "/scratch.txt", "w+") as file:
        file.read()
    os.environ.get("PROBE")
open(str(here / "after.txt"), "w").close()
print(json.dumps(reading.found()))
"""


@pytest.mark.parametrize("version", ["3.7", "3.8", "{}.{}".format(*sys.version_info)])
def test_every_python_sees_the_same(version: str, home: Path, tmp_path: Path) -> None:
    found = interpreters.find(version).found
    if found is None:
        pytest.skip(f"no Python {version} on this machine")
    (tmp_path / "scratch").mkdir()
    nets = home / "nets"
    done = subprocess.run(
        [str(found.path), "-c", READS_ALL, str(nets), str(tmp_path / "scratch")],
        env={"PYTHONPATH": str(Path(bakeoff_worker.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    names = ("deeper.py", "helper.py", "kernel.npy", "linked.txt", "net.py")
    names += ("package/__init__.py", "package/part.py", "sizes.json")
    assert seen["paths"] == [str(nets / name) for name in names]
    assert seen["folders"] == [str(nets / name) for name in ("package", "parts")]
    assert "PROBE" in seen["variables"] and not seen["blind_spots"]


PLAIN = """
import helper
def build(input_shape, num_classes):
    from keras import layers, models
    inputs = layers.Input(shape=input_shape)
    x = layers.Flatten()(inputs)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
"""


EVERY_BACKEND = ("tensorflow", "jax", "torch", "theano", "theano in vintage", "tensorflow1 in vintage")


@pytest.mark.parametrize(
    "contestants",
    [
        pytest.param(("torch", "tensorflow1 in vintage"), id="two"),
        pytest.param(EVERY_BACKEND, id="all", marks=pytest.mark.exhaustive),
    ],
)
def test_every_backend_reads_the_same_of_a_model(
    contestants: tuple[str, ...], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAKEOFF_CACHE")
    (home / "nets" / "net.py").write_text(PLAIN)
    rows = []
    for name in contestants:
        backend, _, environment = name.partition(" in ")
        rows.append(f'{{ backend = "{backend}", environment = "{environment or backend}" }}')
    text = (home / "study.toml").read_text().replace('backend = "fake"\n', "")
    (home / "study.toml").write_text(f"{text}[matrix]\ncontestant = [{', '.join(rows)}]\n")
    study = load(home / "study.toml")
    provisions = prepare(study, expand(study))
    if interpreters.find("3.7").found is None:  # then there is no vintage here
        provisions = {trial_id: one for trial_id, one in provisions.items() if isinstance(one, Provision)}
    found = identity.identify(study, provisions, launcher=local.launch)
    for provision in found.provisions.values():
        assert isinstance(provision, Provision) and provision.code, provision
        names = [Path(one.path).name for one in provision.code.paths if one.content]
        assert names == ["net.py", "deeper.py", "helper.py", "__init__.py", "part.py"]
    models = {trial.settings.content.get("model", "") for trial in found.study.trials}
    assert len(models - {""}) == 1
