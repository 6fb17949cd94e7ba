"""``bakeoff env``: the contestants' environments."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from bakeoff import environments
from bakeoff.cli.console import console, table, tell
from bakeoff.errors import BakeoffError


def main(arguments: argparse.Namespace) -> int:
    """List, create, remove or pack; 0 unless something could not be made."""
    actions = {"list": _list, "create": _create, "remove": _remove, "pack": _pack}
    return actions[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    listed = table("name", "state", "backends", "python", "size", "what", right=("size",))
    for one in environments.list_environments():
        size = f"{one.disk_bytes / 1e6:,.0f} MB" if one.disk_bytes else ""
        listed.add_row(one.name, one.state, ", ".join(one.backends), one.python, size, one.summary)
    console().print(listed)
    return 0


def _create(arguments: argparse.Namespace) -> int:
    failures: list[BakeoffError] = []
    for name in arguments.names:
        try:
            made = environments.ensure(name, on_progress=tell)
            print(f"{name}: ready, {made.python}")
        except BakeoffError as failure:
            print(f"error: {failure.message}\nhint: {failure.hint}", file=sys.stderr)
            failures.append(failure)
    return failures[0].exit_code if failures else 0


def _remove(arguments: argparse.Namespace) -> int:
    for name in arguments.names:
        environments.remove(name)
        print(f"{name}: removed")
    return 0


def _pack(arguments: argparse.Namespace) -> int:
    packed = environments.pack(arguments.name, arguments.output, on_progress=tell)
    spec = environments.catalogue().get(arguments.name)
    compiler = ", and g++, with which Theano compiles while it runs" if spec and spec.needs_compiler else ""
    glibc = os.confstr("CS_GNU_LIBC_VERSION")
    print(packed)
    print(f"It needs Linux on {platform.machine()} with {glibc} or newer{compiler}.", file=sys.stderr)
    print(f"Spark unpacks it with spark.archives={packed}#environment;", file=sys.stderr)
    print("its interpreter is then ./environment/bin/python.", file=sys.stderr)
    return 0
