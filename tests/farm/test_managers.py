"""What Slurm says, read; and what a farm makes of estimates. Without a Slurm."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bakeoff import farm
from bakeoff.cli.arguments import _FARMS
from bakeoff.errors import MachineError
from bakeoff.events import ignore, messages
from bakeoff.farm import Farm, State
from bakeoff.farm.farm import clock_offset
from bakeoff.farm.slurm import Manager, _refusal, _seconds, read_job
from bakeoff.study import FarmRequest

SHOWN = (
    "JobId=7 JobName=bakeoff-a=b JobState={state} Reason={reason} Restarts=1 SubmitTime=1000 StartTime=1010 "
    "EndTime=1100 NodeList=node1 OverSubscribe={shared} Command=/x"
)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", State.QUEUED),
        ("CONFIGURING", State.RUNNING),
        ("COMPLETING", State.RUNNING),
        ("OUT_OF_MEMORY", State.OUT_OF_MEMORY),
        ("TIMEOUT", State.TIMEOUT),
        ("PREEMPTED", State.PREEMPTED),
        ("NODE_FAIL", State.NODE_FAILED),
        ("CANCELLED", State.CANCELLED),
    ],
)
def test_states_are_read(word: str, state: State) -> None:
    read = read_job(SHOWN.format(state=word, reason="None", shared="NO"))
    assert (read.state, read.node, read.num_restarts, read.is_exclusive) == (state, "node1", 1, True)
    assert (read.submitted_unix_s, read.started_unix_s, read.ended_unix_s) == (1000, 1010, 1100)


def test_a_job_that_waits_for_what_never_comes_is_told_from_one_that_waits_its_turn() -> None:
    stuck = [
        read_job(SHOWN.format(state="PENDING", reason=reason, shared="OK")).is_stuck
        for reason in ("Priority", "Resources", "PartitionConfig", "AssocGrpCPUMinutesLimit")
    ]
    assert stuck == [False, False, True, True]


def test_durations_are_read_as_slurm_writes_them() -> None:
    assert [_seconds(text) for text in ("1-02:03:04", "00:00:01", "01:30.500", "UNLIMITED")] == [
        93784,
        1,
        90.5,
        None,
    ]


def test_an_unknown_account_is_an_error_that_says_what_to_do() -> None:
    said = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination"
    error = _refusal(said.replace("/partition", ""))
    assert "Invalid account" in error.message and "farm.account" in error.hint


def test_commands_without_a_cluster_are_said_to_find_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's packages are there, and no configuration: what scontrol of Debian 12 prints then."""
    program = tmp_path / "scontrol"
    program.write_text(
        "#!/bin/sh\necho 'scontrol: error: fetch_config: DNS SRV lookup failed' >&2\n"
        "echo 'scontrol: fatal: Could not establish a configuration source' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(MachineError) as caught:
        Manager().cluster()
    assert caught.value.message == "scontrol finds no cluster: Could not establish a configuration source"
    assert "SLURM_CONF" in caught.value.hint


def test_a_time_too_short_for_the_estimate_is_said_before_anything_is_submitted() -> None:
    cluster = Farm(Manager(), FarmRequest(time_min=10), "id")
    assert cluster.minutes(None, None, ignore) == 10
    lines: list[str] = []
    assert cluster.minutes(300, 900, messages(lines.append)) == 10
    assert "may take up to 15" in lines[0]
    with pytest.raises(MachineError, match="gives a block 10 minutes; it is estimated to take 20 to 40"):
        cluster.minutes(1200, 2400, ignore)


def test_the_command_line_knows_all_managers() -> None:
    assert set(_FARMS) == set(farm.MANAGERS)


@pytest.mark.parametrize(
    ("ahead_s", "shown"),
    [
        (0.0, (0.0, 0.0)),
        (0.4, (0.0, 0.0)),  # managers count whole seconds
        (3600.0, (3590.0, 3600.0)),
        (-3600.0, (-3600.0, -3590.0)),
        (6.0, (0.0, 6.0)),  # the end was collected five seconds later
        (None, (0.0, 0.0)),
    ],
)
def test_a_nodes_clock_is_ahead_or_behind_where_its_instants_say_so(
    ahead_s: float | None, shown: tuple[float, float]
) -> None:
    """Submitted at 0, started at 10, its script at 12, begun at 13, over at 20, by the manager at 22."""

    def node(instant_s: float) -> float | None:
        return None if ahead_s is None else instant_s + ahead_s

    found = clock_offset(
        starts=[(10.0, node(12.0)), (0.0, node(13.0))], ends=[(node(20.0), 22.0), (node(20.0), 25.0)]
    )
    assert shown[0] <= found <= shown[1]
    assert math.copysign(1, found) == math.copysign(1, ahead_s or 0.0) or found == 0
