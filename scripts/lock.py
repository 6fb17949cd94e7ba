"""Makes the environments' locks from their ``.in`` files: ``make lock``, or ``scripts/lock.py NAME ...``.

A file ``NAME.overrides`` beside one holds what counts against a package's own word on what it needs.
Packages come from where pip would get them (see docs/environments.md), and the lock says nothing of that:
versions and hashes only. Versions that are locked already stay unless ``--upgrade`` is given.

Locks for GPUs are for Linux on x86-64. What they name takes gigabytes, so that they end in the size of each
wheel, as the index gives it: nothing is downloaded to know it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib

import uv

from bakeoff.environments import catalogue, interpreters
from bakeoff.environments.catalogue import JAVA
from bakeoff.environments.creation import install_arguments, torch_variant, uv_environment
from bakeoff.errors import BakeoffError
from bakeoff.registry import EnvironmentSpec


def lock(spec: EnvironmentSpec, upgrade: bool) -> None:
    """Write ``locks/<name>.txt`` anew."""
    assert spec.lock is not None
    source = spec.lock.with_suffix(".in")
    overrides = spec.lock.with_suffix(".overrides")
    command = [
        *(uv.find_uv_bin(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
        *("--no-emit-index-url", "--no-emit-find-links", *install_arguments()),
        *("--python", str(interpreters.obtain(spec.python).path), "--python-version", spec.python),
        *_platform(spec),
        *(["--overrides", str(overrides)] if overrides.exists() else []),
        *(["--upgrade"] if upgrade else []),
        *("--output-file", str(spec.lock), str(source)),
    ]
    done = subprocess.run(command, env=_variables(spec), check=False, capture_output=True, text=True)
    variant = torch_variant(source.read_text())
    if done.returncode and variant:
        done = subprocess.run(
            [*command, "--torch-backend", variant], env=uv_environment(), check=False, text=True
        )
    if done.returncode:
        sys.exit(f"{spec.name}: not locked\n{done.stderr or ''}")
    content = spec.lock.read_text()
    header = f"# Made by `make lock` from {source.name}: see docs/environments.md.\n"
    content = content if content.startswith(header) else header + content
    if spec.cuda:
        # `==` would take the build for CPUs, 2.13.0+cpu, where the user's folders have it.
        content = content.replace("\ntorch==2", "\ntorch===2") + _sizes(spec)
    spec.lock.write_text(content)
    print(f"{spec.name}: {content.count('==')} packages")


def _platform(spec: EnvironmentSpec) -> list[str]:
    """For which machines: all, as far as wheels exist, or one kind.

    For Python 3.7 "universal" would mean every later Python too, with versions that nobody has run.
    """
    if spec.cuda:
        return ["--python-platform", "x86_64-manylinux_2_28"]
    return ["--universal"] if spec.python != "3.7" else ["--python-platform", "x86_64-manylinux2014"]


def _variables(spec: EnvironmentSpec) -> dict[str, str]:
    """uv's variables. For GPUs the package index alone is asked: beside it, torch's CPU build may lie."""
    beside = ("UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_STRATEGY") if spec.cuda else ()
    return {name: value for name, value in uv_environment().items() if name not in beside}


def _sizes(spec: EnvironmentSpec) -> str:
    """A comment for each package: the bytes and the name of its wheel, the largest where several would do."""
    command = [
        *(uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--format", "pylock.toml"),
        *("--python", str(interpreters.obtain(spec.python).path), "--python-version", spec.python),
        *(*_platform(spec), *install_arguments(), str(spec.lock)),
    ]
    done = subprocess.run(command, env=_variables(spec), check=True, capture_output=True, text=True)
    lines = []
    for package in tomllib.loads(done.stdout)["packages"]:
        size, url = max((wheel["size"], wheel["url"]) for wheel in package["wheels"])
        lines.append(f"# {size} {url.rpartition('/')[2]}\n")
    return "".join(lines)


def main() -> None:
    """Lock all, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="environments to lock; all without")
    parser.add_argument(
        "--upgrade", action="store_true", help="take newer versions of what the .in file leaves open"
    )
    arguments = parser.parse_args()
    specs = [*(spec for spec in catalogue().values() if spec.lock), JAVA]
    for spec in specs:
        if not arguments.names or spec.name in arguments.names:
            try:
                lock(spec, arguments.upgrade)
            except BakeoffError as error:
                sys.exit(f"{error.message}\n{error.hint}")


if __name__ == "__main__":
    main()
