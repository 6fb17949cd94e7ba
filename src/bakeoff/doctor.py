"""What works on this machine, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import uv

from bakeoff import cache, cards, environments, machine
from bakeoff.environments import EnvironmentSpec, EnvironmentState, interpreters, java
from bakeoff.errors import BakeoffError

_GOOD_CLOCKS = (
    "tsc",
    "kvm-clock",
    "arch_sys_counter",
    "hyperv_clocksource_tsc_page",
)  # read without a system call
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_QUIET_LOAD = 0.25  # runnable processes per core; beyond that, another program is at work


@dataclass(frozen=True)
class Check:
    """One finding.

    state: ``ok``; ``missing``: something that a built-in study needs can't be had; ``warning``: it goes
    without, or timings may suffer. detail: the fact. remedy: the command or act that mends it.
    """

    subject: str
    state: Literal["ok", "missing", "warning"]
    detail: str
    remedy: str = ""


def diagnose() -> tuple[Check, ...]:
    """Every check, in the order in which a newcomer meets its subject; makes and changes nothing."""
    return (
        *_tools(),
        *_interpreters(),
        *_environments(),
        *_java(),
        *_datasets(),
        *_gpus(),
        _disk(),
        *_hardware(),
        *_quiet(Path("/sys")),
        _energy(Path("/sys")),
        *_extras(),
    )


def _tools() -> Iterator[Check]:
    yield Check("bakeoff", "ok", f"{metadata.version('bakeoff')} on Python {platform.python_version()}")
    try:
        yield Check("uv", "ok", f"{metadata.version('uv')}, {uv.find_uv_bin()}")
    except FileNotFoundError:
        yield Check(
            "uv",
            "missing",
            "its program is not where its package should have put it",
            "pip install --force-reinstall uv",
        )
    compiler = shutil.which("g++")
    if compiler is None:
        yield Check("g++", "missing", "not on PATH: Theano can't compile", _install("g++", "gcc-c++"))
        return
    version = machine.output_of([compiler, "--version"]).splitlines()
    if version:
        yield Check("g++", "ok", version[0])
    else:
        yield Check("g++", "missing", f"{compiler} does not run", _install("g++", "gcc-c++"))


def _interpreters() -> Iterator[Check]:
    """One for each Python that the catalogue asks for, with its headers where Theano needs them."""
    specs = [spec for spec in environments.catalogue().values() if spec.lock]
    for version in dict.fromkeys(spec.python for spec in specs):
        wanted = ", ".join(spec.name for spec in specs if spec.python == version)
        found = interpreters.find(version).found
        if found is None:
            yield Check(
                f"Python {version}",
                "missing",
                f"none found on PATH, in pyenv, conda or uv; wanted by {wanted}",
                f"pyenv install {version}, or: uv python install {version} (uv no longer offers the oldest)",
            )
        elif found.headers or interpreters.find(version, headers=True).found:
            yield Check(f"Python {version}", "ok", f"{found.version} with headers, {found.path}")
        else:
            package = _install(f"python{version}-dev", f"python{version}-devel")
            yield Check(
                f"Python {version}", "missing", f"{found.path} has no headers: Theano can't compile", package
            )


def _environments() -> Iterator[Check]:
    states = {state.name: state for state in environments.list_environments()}
    for name, spec in environments.catalogue().items():
        yield _environment(spec, states[name])


def _environment(spec: EnvironmentSpec, state: EnvironmentState) -> Check:
    subject = f"environment {spec.name}"
    if spec.lock is None:
        return Check(subject, "ok", spec.summary)
    if state.state == "ready":
        return Check(
            subject, "ok", f"ready: {spec.summary}, Python {state.python}, {state.disk_bytes / 1e6:,.0f} MB"
        )
    if spec.cuda:
        if not cards.usable():
            return Check(subject, "ok", f"for a machine with an NVIDIA card: {spec.summary}")
        fitting, obstacles = [], []
        for number in range(len(cards.usable())):
            try:
                environments.check_device(spec.name, device="gpu", gpu=number)
                fitting.append(str(number))
            except BakeoffError as error:
                obstacles.append(error)
        if not fitting:
            return Check(subject, "warning", f"can't be used here: {obstacles[0].message}", obstacles[0].hint)
    try:
        environments.check(spec.name)
    except BakeoffError as error:
        return Check(subject, "missing", f"can't be made: {error.message.partition(chr(10))[0]}", error.hint)
    if large := environments.download([spec.name], {}):
        how = f"{large.size} to download, asked for first, or by `bakeoff env create {spec.name} --yes`"
        return Check(subject, "ok", f"fits GPU {', '.join(fitting)}; not made yet: {how}")
    if state.state == "broken":
        return Check(
            subject,
            "warning",
            "half-built, or its Python is gone: made anew when needed",
            f"bakeoff env create {spec.name}",
        )
    return Check(
        subject, "ok", f"not made yet: done when first needed, or by `bakeoff env create {spec.name}`"
    )


def _java() -> Iterator[Check]:
    """One for each Spark: the Java that it would run on here."""
    for spark, names in java.sparks().items():
        subject, wanted = f"Java for Spark {spark}", ", ".join(names)
        try:
            search = java.look(spark)
        except BakeoffError as error:
            yield Check(subject, "missing", f"{error.message}; wanted by {wanted}", error.hint)
            continue
        passed_over = "".join(f"; {line}" for line in search.rejected)
        if search.found:
            found = search.found
            origin = "packaged" if found.origin == "packaged" else f"from {found.origin}"
            yield Check(subject, "ok", f"{found.version} {origin}, {found.home}; for {wanted}{passed_over}")
        else:
            yield Check(
                subject,
                "ok",
                "none here that fits: a packaged one is fetched when first needed, or by `bakeoff env create "
                f"java`; for {wanted}{passed_over}",
            )


def _datasets() -> Iterator[Check]:
    from bakeoff import datasets

    cached = {status.key: status for status in datasets.status() if status.path is not None}
    for name in datasets.catalogue():
        if name in cached:
            yield Check(f"data set {name}", "ok", f"cached, {cached[name].size_bytes / 1e6:,.0f} MB")
        else:
            yield Check(
                f"data set {name}",
                "ok",
                f"not fetched yet: done when first needed, or by `bakeoff data fetch {name}`",
            )


def _gpus() -> Iterator[Check]:
    """One for each card that programs may use, by the number that a study's `gpu` has."""
    found = cards.usable()
    for number, card in enumerate(found):
        memory = "" if card.memory_mib is None else f", {card.memory_mib:,} MiB"
        capability = "" if card.capability is None else ", compute capability {}.{}".format(*card.capability)
        detail = f"{card.name}{memory}{capability}, driver {card.driver}"
        others = cards.state(card).num_processes
        if card.has_mig:
            yield Check(
                f"GPU {number}",
                "warning",
                f"{detail}; split into instances (MIG): a run sees one, and its GPU seconds stay unknown",
                "name one by CUDA_VISIBLE_DEVICES=MIG-..., as `nvidia-smi -L` lists them",
            )
        elif others:
            yield Check(
                f"GPU {number}",
                "warning",
                f"{detail}; {others} other program{'s compute' if others > 1 else ' computes'} on it",
                "stop them, or choose another card: --set gpu=N",
            )
        else:
            yield Check(f"GPU {number}", "ok", detail)
    if found:
        return
    if list(Path("/dev").glob("nvidia[0-9]*")):
        yield Check(
            "GPU",
            "warning",
            "there is one, but its driver lists none that programs may use",
            "install NVIDIA's driver, or check CUDA_VISIBLE_DEVICES",
        )
    else:
        yield Check("GPU", "ok", 'none: runs use the CPU; a study that asks for device = "gpu" is refused')


def _disk() -> Check:
    root = cache.root()
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    made = {state.name for state in environments.list_environments() if state.state == "ready"}
    wanted = [spec for spec in environments.catalogue().values() if not spec.cuda or cards.usable()]
    needed = sum(spec.disk_bytes for spec in wanted if spec.name not in made)
    detail = f"{free / 1e9:.1f} GB free in {root}; all environments not made yet take {needed / 1e9:.1f} GB"
    if not os.access(there, os.W_OK):
        return Check(
            "disk",
            "missing",
            f"{there} can't be written",
            "set BAKEOFF_CACHE to a folder that you can write to",
        )
    if free < needed:
        return Check("disk", "warning", detail, "free some space, or set BAKEOFF_CACHE to a larger disk")
    return Check("disk", "ok", detail)


def _hardware() -> Iterator[Check]:
    found = machine.identity()
    detail = f"{machine.processor(found)}, {found['usable_cores']} of {found['logical_cores']} cores usable"
    quota = found["cpu_quota"]
    if quota is not None and quota < found["usable_cores"]:
        yield Check(
            "processor",
            "warning",
            f"{detail}, held to {quota:.1f} cores' worth of time: runs are throttled in the middle",
            "set threads to no more than that in the study, or lift the container's CPU limit",
        )
    else:
        yield Check("processor", "ok", detail)
    memory = machine.snapshot()
    free, total = memory.available_memory_bytes / 2**30, memory.memory_bytes / 2**30
    if free < 2:
        yield Check(
            "memory",
            "warning",
            f"{free:.1f} of {total:.0f} GiB available; a run takes up to 2",
            "close other programs",
        )
    else:
        yield Check("memory", "ok", f"{free:.1f} of {total:.0f} GiB available")


def _quiet(sysfs: Path) -> Iterator[Check]:
    """What makes timings wander: other work, a hypervisor's steal, the clock and its frequency."""
    now = machine.snapshot()
    cores = os.cpu_count() or 1
    if now.load is not None:
        busy = now.load > _QUIET_LOAD * cores
        yield Check(
            "load",
            "warning" if busy else "ok",
            f"{now.load:.2f} runnable processes on {cores} cores over the last minute",
            "stop other programs; repeats in blocks and pairs soften what remains" if busy else "",
        )
    steal = now.steal_cpu_s / now.total_cpu_s if now.total_cpu_s else 0.0
    stolen = steal > machine.MAX_STEAL_SHARE
    yield Check(
        "steal",
        "warning" if stolen else "ok",
        f"{steal:.1%} of CPU time since boot went to other virtual machines, as far as the host tells",
        "use a machine of your own, or more repeats" if stolen else "",
    )
    source = machine.text_of(sysfs / "devices/system/clocksource/clocksource0/current_clocksource")
    resolution_ns = time.get_clock_info("perf_counter").resolution * 1e9
    slow = bool(source) and source not in _GOOD_CLOCKS
    yield Check(
        "clock",
        "warning" if slow else "ok",
        f"{source or 'unknown source'}, resolution {resolution_ns:.0f} ns",
        "boot with clocksource=tsc if the processor's is stable" if slow else "",
    )
    governor = machine.text_of(sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_governor")
    fixed = governor in ("", "performance")
    yield Check(
        "frequency",
        "ok" if fixed else "warning",
        f"governor {governor}" if governor else "no governor in sight: the host decides",
        "" if fixed else "sudo cpupower frequency-set --governor performance",
    )


def _energy(sysfs: Path) -> Check:
    """Whether runs can say what energy they used: since 2020 the kernel lets only root read it."""
    counters = sorted(sysfs.glob("class/powercap/intel-rapl:*/energy_uj"))
    if not counters:
        return Check("energy", "ok", "this machine has no counter that is seen here: energy stays unknown")
    if all(os.access(counter, os.R_OK) for counter in counters):
        return Check("energy", "ok", "counters of processors and memory can be read")
    return Check(
        "energy",
        "warning",
        "only root may read the counters: energy stays unknown",
        f"sudo chmod a+r {sysfs}/class/powercap/intel-rapl:*/energy_uj",
    )


def _extras() -> Iterator[Check]:
    """Programs that only some need."""
    if npm := shutil.which("npm"):
        yield Check("npm", "ok", npm)
    else:
        yield Check(
            "npm", "warning", "not on PATH: data sets come from their mirrors only", _install("npm", "npm")
        )
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser:
        yield Check("browser", "ok", f"{browser}, for the tests of the report")
    else:
        yield Check(
            "browser",
            "warning",
            "no Chromium on PATH: only `make test` needs it",
            _install("chromium", "chromium"),
        )


def _install(debian: str, fedora: str) -> str:
    """The command that installs a system package here; Debian's where the system is neither."""
    return f"sudo dnf install {fedora}" if shutil.which("dnf") else f"sudo apt-get install {debian}"
