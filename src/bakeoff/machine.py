"""This machine: what it is, and what else it did while a run was measured.

The identity is of the hardware and of the share of it that we may use. It stays the same over
reboots, load, names and kernel updates, so that a study of many days survives them; kernel and driver
are recorded with every run all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bakeoff import cards

# Beyond these a run is flagged as disturbed; it is kept, and the reader decides. Our choices:
# others' CPU: about the spread of training times between neighbouring runs on an idle shared host;
# steal: most hypervisors report none at all, so that 2 % is a busy neighbour;
# clock: it wanders by a few per cent between runs, a fifth less is heat or a power limit;
# memory: with less than that free, the system swaps or drops the cache of the data.
# A GPU's clock is held to the same as the processor's.
MAX_OTHERS_CPU_SHARE = 0.05
MAX_STEAL_SHARE = 0.02
MIN_FREQUENCY_RATIO = 0.8
MIN_MEMORY_SHARE = 0.05
# The kernel counts CPU time in ticks of 10 ms: over less CPU time than this, a share is mostly rounding.
_MIN_TOTAL_CPU_S = 2.0

_COMMAND_S = 15.0

# A processor's numbers: a hypervisor may give several kinds one name, such as "AMD EPYC".
_NUMBERS = (
    *("cpu family", "model", "stepping"),
    *("CPU implementer", "CPU variant", "CPU part", "CPU revision"),
)
# Vector instructions by which libraries choose their kernels, as far as the kernel lets programs use them.
_INSTRUCTIONS = (
    *("avx", "fma", "avx2", "avx512f", "avx512vl", "avx512_bf16", "avx512_fp16", "amx_bf16"),
    *("asimd", "sve", "sve2", "bf16", "i8mm"),
)
# The widest of them, in words, the widest first.
_WIDEST = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}

# What decides how fast the same program runs; the rest of `identity` is for people. Memory is left
# out: kernels keep more or less of it for themselves, so that a rounded size can change at a reboot.
_IDENTIFYING = (
    *("system", "architecture", "cpu_model", "cpu_numbers", "instructions", "hypervisor"),
    *("logical_cores", "physical_cores", "usable_cores", "usable_physical_cores", "cpu_quota"),
)


def identity(
    proc: Path = Path("/proc"),
    sysfs: Path = Path("/sys"),
    gpus: Callable[[], Sequence[cards.Card]] = cards.every,
) -> Mapping[str, Any]:
    """What this machine is, JSON-plain; ``machine_id`` names it, ``description`` is one line for people.

    cpu_numbers: family, model and stepping, or ARM's. instructions: for vectors, as Linux names them.
    usable_cores: those that this process may run on. usable_physical_cores: without counting those twice that
    share a physical one. cpu_quota: cores' worth of time of its control group; None without a limit.
    memory_gib: rounded. transparent_hugepages: whether the kernel gives large pages unasked, in its own word.
    governor: who sets the clock of the first core.
    gpus: NVIDIA's in the order of their names, one mapping each.
    Values that can't be had are None.
    """
    cpuinfo = text_of(proc / "cpuinfo")
    number = psutil.cpu_count() or 1
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(number))
    found: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu_model": _cpu_model(cpuinfo),
        "cpu_numbers": _cpu_numbers(cpuinfo),
        "instructions": _instructions(cpuinfo),
        "logical_cores": number,
        "physical_cores": psutil.cpu_count(logical=False),
        "usable_cores": len(usable),
        "usable_physical_cores": _num_physical(usable, sysfs),
        "cpu_quota": _cpu_quota(proc, sysfs),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "hypervisor": "hypervisor" in cpuinfo.split() if "flags" in cpuinfo else None,
        "gpus": [
            {"name": one.name, "memory_mib": one.memory_mib, "driver": one.driver}
            for one in sorted(gpus(), key=lambda card: (card.name, card.memory_mib or 0))
        ],
        "transparent_hugepages": _chosen(text_of(sysfs / "kernel/mm/transparent_hugepage/enabled")),
        "governor": text_of(sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "kernel": platform.release(),
        "os": _os_name(),
    }
    found["machine_id"] = _machine_id(found)
    found["description"] = _describe(found)
    return found


def has_bfloat16(proc: Path = Path("/proc")) -> bool:
    """Whether the processor multiplies numbers of bfloat16 itself, as far as Linux says."""
    return bool({"amx_bf16", "avx512_bf16", "bf16"} & set(_instructions(text_of(proc / "cpuinfo")) or ()))


@dataclass(frozen=True)
class Snapshot:
    """Counters and gauges of the whole machine at one moment. What can't be read is None.

    busy_cpu_s, steal_cpu_s, total_cpu_s: since boot, summed over cores; total includes idle.
    load: runnable processes, mean of the last minute. frequency_mhz: mean over cores.
    num_throttled: times that a core was slowed by heat.
    """

    busy_cpu_s: float
    steal_cpu_s: float
    total_cpu_s: float
    load: float | None
    frequency_mhz: float | None
    num_throttled: int | None
    available_memory_bytes: int
    memory_bytes: int
    unix_s: float


def snapshot(sysfs: Path = Path("/sys")) -> Snapshot:
    """The machine's counters now. Take one just before a run starts and one just after it ended."""
    times = psutil.cpu_times()
    memory = psutil.virtual_memory()
    # Guests' time is part of user and nice already; waiting for a disk is idle time.
    busy = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")
    idle = ("idle", "iowait", "steal")
    return Snapshot(
        busy_cpu_s=sum(getattr(times, name, 0.0) for name in busy),
        steal_cpu_s=getattr(times, "steal", 0.0),
        total_cpu_s=sum(getattr(times, name, 0.0) for name in (*busy, *idle)),
        load=psutil.getloadavg()[0],
        frequency_mhz=_frequency_mhz(),
        num_throttled=_num_throttled(sysfs),
        available_memory_bytes=memory.available,
        memory_bytes=memory.total,
        unix_s=time.time(),
    )


@dataclass(frozen=True)
class Disturbance:
    """What the machine did beside a run. Shares are of all its cores over the run; None: unknown.

    load: at the run's end, its own processes included. frequency_ratio: clock after ÷ before.
    reasons: a sentence for each threshold that was passed; disturbed: whether there is one.
    gpu: the card that the run was on; None: it was on the CPU.
    """

    others_cpu_share: float | None
    steal_share: float | None
    load: float | None
    frequency_ratio: float | None
    num_throttled: int | None
    available_memory_bytes: int
    disturbed: bool
    reasons: tuple[str, ...]
    gpu: cards.Use | None = None


def disturbance(
    before: Snapshot, after: Snapshot, own_cpu_s: float | None, gpu: cards.Use | None = None
) -> Disturbance:
    """What disturbed a run between two snapshots.

    own_cpu_s: CPU seconds of the run's process tree in that time, user and system; None if unknown.
    Runs of less than two CPU seconds (idle ones counted) have no shares: the kernel's ticks are too coarse.
    """
    total_s = after.total_cpu_s - before.total_cpu_s
    long_enough = total_s >= _MIN_TOTAL_CPU_S
    others = steal = ratio = throttled = None
    if long_enough and own_cpu_s is not None:
        others = max(0.0, after.busy_cpu_s - before.busy_cpu_s - own_cpu_s) / total_s
    if long_enough:
        steal = max(0.0, after.steal_cpu_s - before.steal_cpu_s) / total_s
    if before.frequency_mhz and after.frequency_mhz:
        ratio = after.frequency_mhz / before.frequency_mhz
    if before.num_throttled is not None and after.num_throttled is not None:
        throttled = after.num_throttled - before.num_throttled
    available = min(before.available_memory_bytes, after.available_memory_bytes)
    reasons = []
    if others is not None and others > MAX_OTHERS_CPU_SHARE:
        reasons.append(
            f"other programs used {others:.1%} of the CPU (limit {MAX_OTHERS_CPU_SHARE:.0%}): stop them"
        )
    if steal is not None and steal > MAX_STEAL_SHARE:
        reasons.append(
            f"the hypervisor took {steal:.1%} of the CPU time (limit {MAX_STEAL_SHARE:.0%}):"
            " use a quieter host"
        )
    if ratio is not None and ratio < MIN_FREQUENCY_RATIO:
        reasons.append(
            f"the CPU's clock fell to {ratio:.0%} of what it was (limit {MIN_FREQUENCY_RATIO:.0%}):"
            " cool it, plug it in, or fix its frequency"
        )
    if throttled:
        reasons.append(f"heat slowed a core {throttled} times: cool the machine, or use fewer threads")
    if available < MIN_MEMORY_SHARE * after.memory_bytes:
        reasons.append(
            f"only {available / 2**30:.1f} GiB of memory were free (limit {MIN_MEMORY_SHARE:.0%} of all):"
            " close other programs"
        )
    reasons += _gpu_reasons(gpu) if gpu else []
    return Disturbance(
        others_cpu_share=others,
        steal_share=steal,
        load=after.load,
        frequency_ratio=ratio,
        num_throttled=throttled,
        available_memory_bytes=available,
        disturbed=bool(reasons),
        reasons=tuple(reasons),
        gpu=gpu,
    )


def _gpu_reasons(gpu: cards.Use) -> list[str]:
    reasons = []
    if gpu.num_others:
        reasons.append(
            f"other programs computed on the GPU ({gpu.num_others}): stop them, or choose another card by gpu"
        )
    if gpu.clock_ratio is not None and gpu.clock_ratio < MIN_FREQUENCY_RATIO:
        reasons.append(
            f"the GPU's clock fell to {gpu.clock_ratio:.0%} of what it was after the first epoch (limit "
            f"{MIN_FREQUENCY_RATIO:.0%}): cool it, or lock its clock (nvidia-smi --lock-gpu-clocks)"
        )
    if gpu.slowed_s:
        reasons.append(f"heat slowed the GPU for {gpu.slowed_s:.1f} s: cool it")
    return reasons


def _machine_id(found: Mapping[str, Any]) -> str:
    """16 hex digits, equal for machines on which the same program runs alike."""
    identifying = {name: found[name] for name in _IDENTIFYING}
    identifying["gpus"] = [[gpu["name"], gpu["memory_mib"]] for gpu in found["gpus"]]
    return hashlib.sha256(json.dumps(identifying, sort_keys=True).encode()).hexdigest()[:16]


def processor(found: Mapping[str, Any]) -> str:
    """An identity's processor for people: ``AMD EPYC with AVX2``."""
    name = str(found["cpu_model"] or found["architecture"])
    widest = next((words for key, words in _WIDEST.items() if key in (found["instructions"] or ())), "")
    return f"{name} with {widest}" if widest else name


def _describe(found: Mapping[str, Any]) -> str:
    """``AMD EPYC with AVX2, 2 cores, 24 GiB, virtual machine, Linux``"""
    cores = found["usable_cores"]
    parts = [processor(found), f"{cores} core{'s' * (cores != 1)}"]
    if found["cpu_quota"] is not None:
        parts.append(f"limited to {found['cpu_quota']:g}")
    parts.append(f"{found['memory_gib']} GiB")
    parts += [gpu["name"] for gpu in found["gpus"]]
    if found["hypervisor"]:
        parts.append("virtual machine")
    return ", ".join([*parts, found["system"]])


def _cpu_model(cpuinfo: str) -> str | None:
    """The CPU's name; on ARM, which gives none, its implementer and part numbers."""
    if name := re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE):
        return " ".join(name[1].split())
    numbers = [re.search(rf"^CPU {key}\s*: (\S+)$", cpuinfo, re.MULTILINE) for key in ("implementer", "part")]
    if all(numbers):
        return "ARM " + " ".join(number[1] for number in numbers if number)
    if platform.system() == "Darwin":
        return output_of(["sysctl", "-n", "machdep.cpu.brand_string"]) or None
    return platform.processor() or None


def _chosen(words: str) -> str | None:
    """Of the kernel's choices, the one in brackets: ``always [madvise] never``."""
    found = re.search(r"\[(\w+)\]", words)
    return found[1] if found else None


def _num_physical(usable: Collection[int], sysfs: Path) -> int | None:
    """How many physical cores these logical ones are on."""
    cpus = sysfs / "devices/system/cpu"
    siblings = {text_of(cpus / f"cpu{each}/topology/thread_siblings_list") for each in usable}
    return None if "" in siblings else len(siblings)


def _cpu_numbers(cpuinfo: str) -> str | None:
    """``family 25, model 1, stepping 1``, of the first core."""
    found = [(key, re.search(rf"^{key}\s*: (\S+)$", cpuinfo, re.MULTILINE)) for key in _NUMBERS]
    return ", ".join(f"{key.split()[-1]} {number[1]}" for key, number in found if number) or None


def _instructions(cpuinfo: str) -> list[str] | None:
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", cpuinfo, re.MULTILINE)
    return [name for name in _INSTRUCTIONS if name in flags[1].split()] if flags else None


def _cpu_quota(proc: Path, sysfs: Path) -> float | None:
    """Cores' worth of CPU time that the control group, and those around it, leave us.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, ``cpu.max``; version 1, ``cpu.cfs_quota_us``.
    """
    quotas = []
    for line in text_of(proc / "self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = sysfs / "fs/cgroup" / controllers
        here = root / group.strip("/")
        quotas += [_quota(folder) for folder in (here, *here.parents) if folder.is_relative_to(root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(group: Path) -> float | None:
    """One control group's limit in cores; None without."""
    words = text_of(group / "cpu.max").split()
    words = words or [
        *text_of(group / "cpu.cfs_quota_us").split(),
        *text_of(group / "cpu.cfs_period_us").split(),
    ]
    unlimited = len(words) != 2 or words[0] in ("max", "-1")
    return None if unlimited else int(words[0]) / int(words[1])


def _frequency_mhz() -> float | None:
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, AttributeError):  # psutil lacks the function on some systems
        return None
    return frequency.current if frequency and frequency.current else None


def _num_throttled(sysfs: Path) -> int | None:
    """Sum over cores; None where the kernel doesn't count, as in most virtual machines."""
    counts = [
        text_of(file)
        for file in sysfs.glob("devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    ]
    return sum(int(count) for count in counts if count) if any(counts) else None


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def output_of(command: list[str]) -> str:
    """What a command prints; empty if it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def text_of(path: Path) -> str:
    """A small file's text, without the spaces around it; empty if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
