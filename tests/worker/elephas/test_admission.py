"""What will not do is said before anything is imported; contestants on one machine go on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bakeoff import session, study
from bakeoff.environments import Environment
from bakeoff.events import Handler
from bakeoff.execute import Provision
from bakeoff.launchers import fake, local
from bakeoff.store.reader import Reader
from bakeoff_worker.distribution.elephas import driver
from bakeoff_worker.distribution.spark import cluster

STUDY = """
name = "mixed"
[defaults]
environment = "tensorflow_spark"
backend = "tensorflow"
{settings}
[matrix]
where = [
    {{ distribution = "elephas", distribution_options = {{ {options} }} }},
    {{ distribution = "single" }},
]
"""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Statuses and reasons of a study of two runs; that on a cluster starts as a process of its own."""

    def run(options: str, settings: str = "") -> dict[str, tuple[str, str, str]]:
        def launch(request):
            alone = request.job.spec.settings.distribution == "single"
            yield from (fake.launch if alone else local.launch)(request)

        # An interpreter without TensorFlow: whatever would import it fails otherwise than expected here.
        here = Environment("e", Path(sys.executable), {}, "digest", "managed", tmp_path)
        monkeypatch.setattr(
            session,
            "prepare",
            lambda _, specs, **__: {spec.trial_id: Provision(here, tmp_path) for spec in specs},
        )
        (tmp_path / "mixed.toml").write_text(STUDY.format(options=options, settings=settings))
        mixed = study.load(tmp_path / "mixed.toml", ("repeats=1",))
        store = tmp_path / "store.sqlite"
        session.run(mixed, store, listener=Handler(), launcher=launch, verify=False)
        with Reader(store) as reader:
            rows = reader.runs("mixed").select("settings.distribution", "status", "reason", "last_lines")
        return {row[0]: row[1:] for row in rows.iter_rows()}

    return run


def test_a_master_that_does_not_answer_is_a_failed_run_and_one_machine_goes_on(ran):
    found = ran('master = "spark://127.0.0.1:1,127.0.0.1:2"')
    assert found["single"][0] == "ok"
    status, reason, hint = found["elephas"]
    assert status == "failed"
    assert "no Spark master answers at 127.0.0.1:1 (" in reason and "127.0.0.1:2 (" in reason
    assert "start-master.sh" in hint


def test_an_embedded_layout_that_this_machine_can_not_hold_is_refused_at_once(ran):
    status, reason, hint = ran('layout = "999x99"')["elephas"]
    assert status == "failed"
    assert "the layout doesn't fit this machine: 999 nodes of 99 cores take " in reason
    assert "fewer nodes" in hint


def test_a_folder_for_event_logs_that_can_not_be_made_is_said_before(ran, tmp_path):
    (tmp_path / "file").touch()
    status, reason, _ = ran('layout = "1x1"', f'keep_event_logs = "{tmp_path}/file/logs"')["elephas"]
    assert status == "failed" and reason.startswith("keep_event_logs: the folder can't be made: ")


def test_what_an_embedded_cluster_takes_at_least(monkeypatch):
    monkeypatch.setattr(cluster, "_available_mib", lambda: 3100)
    cluster.fit((5, 4), 20)  # 6 daemons, 5 executors, 20 Python processes
    with pytest.raises(cluster.ClusterError, match=r"6 nodes of 4 cores take 3690 MiB .*, 3100 MiB are free"):
        cluster.fit((6, 4), 24)
    monkeypatch.setattr(cluster, "_available_mib", lambda: None)
    cluster.fit((999, 99), 999 * 99)


@pytest.mark.parametrize(
    ("host", "others", "out_of_reach"),
    [
        ("127.0.1.1", ["10.0.0.2", "10.0.0.3"], True),
        ("127.0.1.1", ["node.invalid"], True),
        ("127.0.0.1", ["127.0.0.1", "localhost"], False),
        ("10.0.0.1", ["10.0.0.2"], False),
    ],
)
def test_a_parameter_server_that_only_this_machine_reaches(host, others, out_of_reach):
    assert driver.is_out_of_reach(host, others) == out_of_reach
