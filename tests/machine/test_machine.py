"""What a machine is does not change with what it does; what disturbed a run is told with figures."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bakeoff.cards import Card, Use
from bakeoff.machine import Disturbance, Snapshot, disturbance, identity, snapshot

CPUINFO = "processor : 0\nmodel name\t: Fast  CPU @ 3GHz\nflags\t\t: fpu {flags}\n"
H100 = Card("H100", "GPU-1", "550.1", 81559, (9, 0), False)
# Two minutes on four cores; our run used 200 s of them.
BEFORE = Snapshot(1000.0, 5.0, 8000.0, 1.0, 3000.0, 3, 8 << 30, 16 << 30, 1e9)
AFTER = dataclasses.replace(BEFORE, busy_cpu_s=1210.0, total_cpu_s=8480.0, load=3.5, unix_s=1e9 + 120)


@pytest.fixture
def fake(tmp_path: Path):
    """A machine made of files."""

    def build(
        flags: str = "", gpus: Sequence[Card] = (), groups: dict[str, str] | None = None, model: str = CPUINFO
    ):
        (tmp_path / "proc" / "self").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / "cpuinfo").write_text(model.format(flags=flags))
        (tmp_path / "proc" / "self" / "cgroup").write_text("0::/user/session\n3:cpu,cpuacct:/box\n")
        for name, content in (groups or {}).items():
            file = tmp_path / "sys" / "fs" / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return identity(tmp_path / "proc", tmp_path / "sys", lambda: gpus)

    return build


def test_this_machine_keeps_its_name() -> None:
    found = identity()
    deadline = time.process_time() + 0.2
    while time.process_time() < deadline:  # load must not matter
        pass
    assert identity() == found
    assert len(found["machine_id"]) == 16
    assert found["usable_cores"] >= 1 and found["memory_gib"] > 0
    assert found["description"].endswith(platform.system())
    text = json.dumps(found)
    assert socket.gethostname() not in text.split('"')


def test_kernel_driver_and_memory_are_told_but_not_identifying(fake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fake(gpus=[H100])
    monkeypatch.setattr(platform, "release", lambda: "99.0-next")
    after = fake(gpus=[dataclasses.replace(H100, driver="560.9", uuid="GPU-2")])
    assert after["kernel"] == "99.0-next" != before["kernel"]
    assert after["gpus"] == [{"name": "H100", "memory_mib": 81559, "driver": "560.9"}]
    assert before["machine_id"] == after["machine_id"]


def test_governor_and_huge_pages_are_told_but_not_identifying(fake, tmp_path: Path) -> None:
    assert fake()["governor"] is None
    file = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    file.parent.mkdir(parents=True)
    file.write_text("powersave\n")
    found = fake()
    assert found["governor"] == "powersave"
    file.write_text("performance\n")
    assert fake()["machine_id"] == found["machine_id"]
    file = tmp_path / "sys/kernel/mm/transparent_hugepage/enabled"
    file.parent.mkdir(parents=True)
    file.write_text("always [madvise] never\n")
    assert fake()["transparent_hugepages"] == "madvise" and found["transparent_hugepages"] is None
    assert fake()["machine_id"] == found["machine_id"]


EPYC = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: {family}
model		: {model}
model name	: AMD EPYC
stepping	: 1
flags		: fpu hypervisor avx avx2 fma {flags}
"""


def test_processors_of_one_name_are_told_apart(fake) -> None:
    """A hypervisor calls all of them "AMD EPYC"; those with AVX-512 trained up to four times as fast."""
    machines = [
        fake(model=EPYC.format(family=family, model=model, flags=flags))
        for family, model, flags in ((25, 1, ""), (25, 17, ""), (26, 2, "avx512f avx512_bf16"), (26, 2, ""))
    ]
    assert len({found["machine_id"] for found in machines}) == len(machines)
    assert {found["cpu_model"] for found in machines} == {"AMD EPYC"}
    assert machines[0]["cpu_numbers"] == "family 25, model 1, stepping 1"
    assert machines[2]["instructions"] == ["avx", "fma", "avx2", "avx512f", "avx512_bf16"]
    assert machines[0]["description"].startswith("AMD EPYC with AVX2, ")
    assert machines[2]["description"].startswith("AMD EPYC with AVX-512, ")


def test_what_a_later_kernel_tells_of_a_processor_is_not_identifying(fake) -> None:
    found = [fake(model=EPYC.format(family=25, model=1, flags=flags)) for flags in ("", "srso ibpb avx_vnni")]
    assert found[0]["machine_id"] == found[1]["machine_id"]


def test_two_threads_of_one_core_are_not_two_cores(
    fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        file = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(f"{siblings}\n")
    names = {}
    for usable, physical in (({0, 2}, 1), ({0, 1}, 2), ({2, 3}, 2)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, usable=usable: usable)
        found = fake()
        assert (found["usable_cores"], found["usable_physical_cores"]) == (2, physical)
        names.setdefault(physical, set()).add(found["machine_id"])
    assert len(names[2]) == 1 and not names[1] & names[2]


def test_hardware_is_identifying(fake) -> None:
    machines = [
        fake(),
        fake(flags="hypervisor"),
        fake(gpus=[H100]),
        fake(gpus=[H100, H100]),
        fake(gpus=[dataclasses.replace(H100, name="A100", memory_mib=40960)]),
        fake(model=CPUINFO.replace("Fast", "Slow")),
        fake(groups={"user/cpu.max": "150000 100000\n"}),
    ]
    assert len({found["machine_id"] for found in machines}) == len(machines)
    assert machines[0]["cpu_model"] == "Fast CPU @ 3GHz"
    assert [found["hypervisor"] for found in machines[:2]] == [False, True]
    assert "Fast CPU @ 3GHz" in machines[0]["description"] and "virtual machine" in machines[1]["description"]


@pytest.mark.parametrize(
    ("groups", "quota"),
    [
        ({}, None),
        ({"user/session/cpu.max": "max 100000"}, None),
        ({"user/session/cpu.max": "max 100000", "cpu.max": "200000 100000"}, 2.0),
        ({"user/session/cpu.max": "50000 100000", "user/cpu.max": "200000 100000"}, 0.5),
        ({"cpu,cpuacct/box/cpu.cfs_quota_us": "-1", "cpu,cpuacct/box/cpu.cfs_period_us": "100000"}, None),
        ({"cpu,cpuacct/box/cpu.cfs_quota_us": "300000", "cpu,cpuacct/box/cpu.cfs_period_us": "100000"}, 3.0),
    ],
)
def test_quota_of_the_control_group(fake, groups: dict[str, str], quota: float | None) -> None:
    assert fake(groups=groups)["cpu_quota"] == quota


def test_arm_has_numbers_for_a_name(fake) -> None:
    model = "Features\t: fp asimd sve bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nCPU revision\t: 1\n"
    found = fake(model=model)
    assert (found["cpu_model"], found["cpu_numbers"]) == (
        "ARM 0x41 0xd0c",
        "implementer 0x41, part 0xd0c, revision 1",
    )
    assert found["instructions"] == ["asimd", "sve", "bf16"]
    assert found["description"].startswith("ARM 0x41 0xd0c with SVE, ")


def test_quiet_run() -> None:
    found = disturbance(BEFORE, AFTER, own_cpu_s=200.0)
    assert found.others_cpu_share == pytest.approx(10 / 480)
    assert found == Disturbance(found.others_cpu_share, 0.0, 3.5, 1.0, 0, 8 << 30, False, ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"busy_cpu_s": 1225.0}, "other programs used 5.2% of the CPU (limit 5%)"),
        ({"steal_cpu_s": 15.0}, "the hypervisor took 2.1% of the CPU time (limit 2%)"),
        ({"frequency_mhz": 2100.0}, "the CPU's clock fell to 70% of what it was (limit 80%)"),
        ({"num_throttled": 5}, "heat slowed a core 2 times"),
        ({"available_memory_bytes": 512 << 20}, "only 0.5 GiB of memory were free (limit 5% of all)"),
    ],
)
def test_each_disturbance_is_named_with_its_figure(change: dict[str, float], reason: str) -> None:
    found = disturbance(BEFORE, dataclasses.replace(AFTER, **change), own_cpu_s=200.0)
    assert found.disturbed
    (told,) = found.reasons
    assert told.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"num_others": 2}, ("other programs computed on the GPU (2)",)),
        (
            {"clock_ratio": 0.79},
            ("the GPU's clock fell to 79% of what it was after the first epoch (limit 80%)",),
        ),
        ({"slowed_s": 1.24}, ("heat slowed the GPU for 1.2 s",)),
        ({"num_others": None, "clock_ratio": None, "slowed_s": None}, ()),
    ],
)
def test_what_disturbed_a_run_on_its_card(change: dict[str, float], reasons: tuple[str, ...]) -> None:
    use = dataclasses.replace(Use("H100", 0, 0.8, 1980, 61, 125.5, 0.0), **change)
    found = disturbance(BEFORE, AFTER, own_cpu_s=200.0, gpu=use)
    assert found.gpu == use and found.disturbed == bool(reasons)
    assert len(found.reasons) == len(reasons)
    assert all(map(str.startswith, found.reasons, reasons))


def test_unknown_stays_unknown() -> None:
    blind = {"load": None, "frequency_mhz": None, "num_throttled": None}
    found = disturbance(
        dataclasses.replace(BEFORE, **blind), dataclasses.replace(AFTER, **blind), own_cpu_s=None
    )
    assert (found.others_cpu_share, found.frequency_ratio, found.num_throttled) == (None, None, None)
    assert not found.disturbed


def test_a_short_run_has_no_shares() -> None:
    after = dataclasses.replace(BEFORE, total_cpu_s=8001.0, busy_cpu_s=1001.0)
    found = disturbance(BEFORE, after, own_cpu_s=0.0)
    assert (found.others_cpu_share, found.steal_share, found.disturbed) == (None, None, False)


def test_counters_move_forward() -> None:
    before = snapshot()
    spent = os.times()
    deadline = time.process_time() + 0.3
    while time.process_time() < deadline:
        pass
    after = snapshot()
    assert after.total_cpu_s > before.total_cpu_s
    assert after.busy_cpu_s > before.busy_cpu_s
    assert after.unix_s > before.unix_s and 0 < after.available_memory_bytes < after.memory_bytes
    assert os.times().user > spent.user
    json.dumps(dataclasses.asdict(disturbance(before, after, 0.3)))


def test_throttling_is_summed_over_cores(tmp_path: Path) -> None:
    assert snapshot(tmp_path).num_throttled is None
    for core, count in enumerate((2, 5)):
        folder = tmp_path / f"devices/system/cpu/cpu{core}/thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{count}\n")
    assert snapshot(tmp_path).num_throttled == 7
