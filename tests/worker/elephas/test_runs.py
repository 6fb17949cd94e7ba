"""Both contestants through Elephas on a real cluster: what is recorded, and that it adds up."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from bakeoff import datasets, environments
from bakeoff.environments import Environment
from bakeoff_worker.records import EpochRecord, StageProgress

pytestmark = pytest.mark.slow

PHASES = ["interpreter", "import", "data", "build", "cluster", "context", "parallelize"]
ENDING = [
    *("training", "evaluation", "application_end", "application", "accounts"),
    *("cluster_end", "outcomes", "end"),
]
PARTS = ("import_s", "data_s", "build_s", "train_s", "exchange_s")


def path_without_java(folder: Path) -> str:
    """A PATH with every program of this machine's but Java's: links in a folder."""
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            if program.name not in ("java", "javac"):
                (folder / program.name).unlink(missing_ok=True)
                (folder / program.name).symlink_to(program)
    return str(folder)


def assert_adds_up(found: Any, num_tasks: int) -> None:
    """Spark's account of each training task and what was taken inside it agree."""
    assert len(found.training) == num_tasks
    application_s = found.phases["application"].wall_s
    for task in found.training:
        assert task.status == "ok"
        assert 0 <= task.launched_s < task.finished_s < application_s + 1
        duration_s = task.finished_s - task.launched_s
        assert task.python_s <= task.run_s + 0.05, "our function runs inside Spark's task"
        parts_s = task.run_s + task.deserialize_s + task.serialize_s
        assert parts_s + task.getting_result_s + task.scheduler_delay_s == pytest.approx(duration_s, abs=0.05)
        assert sum(getattr(task, part) for part in PARTS) <= task.python_s + 0.01
        assert task.worker_start_s == pytest.approx(task.run_s - task.python_s, abs=0.05)
        assert task.train_s > 0
        assert 0 < task.python_user_s + task.python_system_s < 4 * task.python_s + 1
        assert task.jvm_cpu_s < task.run_s
        assert task.python_peak_bytes > 50e6
        assert task.result_bytes > 0
    assert found.samples.num_trained == sum(task.num_trained for task in found.training)
    assert sum(epoch.num_images for epoch in found.epochs) == found.samples.num_trained
    assert found.num_wrong == round(300 * found.epochs[-1].validation_error)


def opened_by_the_history_server(logs: Path, home: Environment, folder: Path) -> list[dict[str, Any]]:
    """What Spark's own History Server lists of a folder, by its REST interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (program,) = home.python.parents[1].glob("lib/python*/site-packages/pyspark/bin/spark-class")
    settings = {
        "spark.history.fs.logDirectory": logs.as_uri(),
        "spark.history.ui.port": str(port),
        "spark.ui.bindAddress": "127.0.0.1",
    }
    variables = {
        "PATH": os.environ["PATH"],
        "JAVA_HOME": str(environments.java.find(home.name).home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_HISTORY_OPTS": " ".join(f"-D{key}={value}" for key, value in settings.items()),
    }
    with (folder / "history.log").open("wb") as output:
        server = subprocess.Popen(
            [program, "org.apache.spark.deploy.history.HistoryServer"],
            env=variables,
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            time.sleep(0.5)
            with (
                contextlib.suppress(OSError),
                urlopen(f"http://127.0.0.1:{port}/api/v1/applications") as answer,
            ):
                found: list[dict[str, Any]] = json.load(answer)
                if found:
                    return found
        pytest.fail((folder / "history.log").read_text()[-3000:])
    finally:
        server.kill()
        server.wait()


def test_todays_pair_first_of_all_with_java_hidden(spread, tmp_path, monkeypatch):
    hidden = path_without_java(tmp_path / "bin")
    monkeypatch.setenv("PATH", hidden)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert shutil.which("java") is None
    java = environments.java.find("tensorflow_spark")
    assert java.origin == "packaged"
    found = spread(
        "tensorflow",
        options={"mode": "synchronous", "executors": "warm"},
        model_options={"filters": [8, 4]},
        java=java.home,
        variables={"PATH": hidden},
        epochs=3,
    )
    assert found.ended.status == "ok", found.ended
    assert list(found.phases) == [*PHASES, "warm_up", *ENDING]
    assert [epoch.epoch for epoch in found.epochs] == [1, 2, 3]
    assert found.epochs[-1].validation_loss < found.epochs[0].validation_loss
    assert found.samples.num_asked == found.samples.num_trained == 3 * 1000
    assert_adds_up(found, num_tasks=2 * 3)
    assert all(task.import_s < 0.1 for task in found.training), "warm executors have imported"
    assert {one.num_cores for one in found.executors} == {1}
    assert len(found.executors) == 2
    observed = found.facts.observed
    assert observed["spark"]["java"].startswith("17")
    assert observed["spark"]["layout"] == "2x1"
    assert observed["spark"]["threads_per_task"] == 1
    assert observed["elephas"]["version"] == "7.3.0"
    assert any("averaged" in sentence for sentence in observed["elephas"]["arithmetic"])
    assert "secret" not in str(found.facts)
    assert found.of(StageProgress)
    assert not found.warnings


@pytest.mark.parametrize("backend", ["theano", pytest.param("tensorflow1", marks=pytest.mark.exhaustive)])
def test_the_studys_pair_asynchronously(spread, backend):
    found = spread(backend, home="vintage_spark", options={"layout": "1x2"}, epochs=2)
    assert found.ended.status == "ok", found.ended
    assert list(found.phases) == [*PHASES, *ENDING]
    assert [epoch.epoch for epoch in found.epochs] == [2], "one job trains all epochs"
    assert found.samples.num_trained == 2 * 1000
    assert_adds_up(found, num_tasks=2)
    assert all(task.num_epochs == 2 and task.exchange_s > 0 for task in found.training)
    assert len(found.executors) == 1
    assert found.facts.observed["elephas"]["version"] == "0.4.5"
    assert found.epochs[0].user_s > 0
    if backend == "theano":  # as its flags are in tests on a cluster
        assert found.facts.observed["jit"] is False
        assert found.facts.observed["execution"] == "Python, operation by operation"
        assert found.facts.observed["compile_cache"] is None


# That either is what it is said to be, and on this Python: tests/verification/test_rounds.py.
@pytest.mark.exhaustive
def test_theano_on_one_python_as_released_and_corrected(spread):
    errors = {}
    for merge in ("as_released", "averaged"):
        options = {"mode": "synchronous", "merge": merge, "rounds": 2}
        found = spread("theano", options=options, epochs=2)
        assert found.ended.status == "ok", found.ended
        assert [epoch.epoch for epoch in found.epochs] == [1, 2]
        assert_adds_up(found, num_tasks=2 * 2)
        said = " ".join(found.facts.observed["elephas"]["arithmetic"])
        assert ("summed, not averaged" in said) == (merge == "as_released")
        assert found.facts.observed["elephas"]["corrected"] == (merge == "averaged")
        errors[merge] = found.epochs[0].validation_loss
    assert errors["as_released"] != pytest.approx(errors["averaged"], rel=1e-3)


def test_executors_run_the_packed_environment_and_no_other(spread, archive_of, framework, theano_flags):
    programs, opened = set(), set()

    def look(record, driver):
        if isinstance(record, EpochRecord):  # the application lives, and so do its Python processes
            for process in psutil.Process(driver).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "pyspark.daemon" in process.cmdline():
                        programs.add(process.exe())
                        opened.update(one.path for one in process.memory_maps())

    archive = archive_of("theano_spark")
    options = {"mode": "synchronous", "merge": "averaged", "layout": "1x1", "archive": str(archive)}
    # One layer, since here Theano compiles, and into a directory where nothing is yet.
    found = spread(
        "theano",
        options=options,
        model_options={"filters": [], "dense": [], "dropout": 0.0},
        variables={"THEANO_FLAGS": theano_flags},
        watch=look,
    )
    assert found.ended.status == "ok", found.ended
    assert found.samples.num_trained == found.samples.num_asked
    assert found.unaccounted_s < 0.1 * found.wall_s, "unpacking and removing what was unpacked, too"
    assert programs
    assert all("/spark/node-0/" in program for program in programs), "unpacked below the node's own folder"
    python = framework("theano_spark").python
    originals = (python.parents[1], python.resolve().parents[1])  # the latter may be all of /usr
    foreign = [str(folder) for folder in originals if folder != Path("/usr")]
    assert [path for path in opened if path.startswith(tuple(foreign))] == []


OWN = """
import keras
from keras import layers
from beside import Doubled

from_logits = True


@keras.saving.register_keras_serializable("mine")
class Scale(layers.Layer):
    def __init__(self, start, **options):
        super().__init__(**options)
        self.start = start

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return self.start * x * self.factor
{config}

def build(input_shape, num_classes):
    parts = [layers.Flatten(), Doubled(), Scale(0.5), layers.Dense(num_classes)]
    return keras.Sequential([layers.Input(shape=input_shape), *parts])
"""
BESIDE = (
    "from keras import layers\n\nclass Doubled(layers.Layer):\n    def call(self, x):\n        return 2 * x\n"
)


def test_layers_of_ones_own_travel_and_executors_read_parquet_files(spread, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN.replace("{config}", ""))
    (tmp_path / "beside.py").write_text(BESIDE)
    prepared = datasets.ensure("mnist")
    found = spread(
        "tensorflow",
        options={"mode": "synchronous", "layout": "1x2", "data_source": "parquet"},
        data=prepared.path,
        parquet=datasets.parquet_files(prepared),
        model=str(file),
        model_file=file,
        model_options={},
        train_images=1000,
        evaluation_images=300,
        epochs=2,
    )
    assert found.ended.status == "ok", found.ended
    assert found.epochs[1].validation_loss < found.epochs[0].validation_loss < 2.4, "near ln 10 or less"
    assert found.samples.num_trained == 2 * 1000, "those of the run's subset and no others"
    assert found.samples.smallest_partition < found.samples.largest_partition
    assert sum(task.shuffle_read_bytes for task in found.training) > 0
    assert found.epochs[1].validation_error < 0.9


def test_layers_of_ones_own_that_lose_their_options_are_refused_before_a_cluster_starts(spread, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        OWN.replace("{config}", "    def get_config(self):\n        return super().get_config()\n")
    )
    (tmp_path / "beside.py").write_text(BESIDE)
    options = {"mode": "synchronous", "layout": "1x2"}
    found = spread("tensorflow", options=options, model=str(file), model_file=file, model_options={})
    assert found.ended.status == "failed"
    assert "Doubled, Scale" in found.ended.reason and "get_config()" in found.ended.reason
    assert "cluster" not in found.phases


def test_skipped_samples_are_counted_and_said_and_the_history_server_opens_a_kept_event_log(
    spread, tmp_path, framework
):
    logs = tmp_path / "kept" / "logs"
    options = {"mode": "synchronous", "layout": "1x2", "batch_size_per_task": 500}
    found = spread("tensorflow", options=options, epochs=1, keep_event_logs=str(logs))
    assert found.ended.status == "ok", found.ended
    samples = found.samples
    assert (samples.num_asked, samples.num_trained, samples.num_skipped) == (1000, 0, 1000)
    assert samples.num_skipped_partitions == samples.num_partitions == 2
    assert any("no larger than a batch of 500" in message for message in found.warnings)
    assert math.isnan(found.epochs[0].train_loss)
    (log,) = logs.iterdir()
    (application,) = opened_by_the_history_server(logs, framework("tensorflow_spark"), tmp_path)
    assert application["id"] == log.name
    assert application["name"] == "bakeoff tensorflow"
    assert application["attempts"][0]["completed"]
