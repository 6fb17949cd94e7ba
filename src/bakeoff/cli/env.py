"""``bakeoff env``: the contestants' environments."""

from __future__ import annotations

import argparse
import os
import platform

from bakeoff import environments
from bakeoff.cli.consent import consent
from bakeoff.cli.console import console, say, table, tell, tell_error
from bakeoff.cli.progress import Lines
from bakeoff.errors import BakeoffError


def main(arguments: argparse.Namespace) -> int:
    """List, create, remove or pack; 0 unless something could not be made."""
    actions = {"list": _list, "create": _create, "remove": _remove, "pack": _pack}
    return actions[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    listed = table("name", "state", "backends", "python", "size", "what", right=("size",))
    for environment in environments.list_environments():
        size = f"{environment.disk_bytes / 1e6:,.0f} MB" if environment.disk_bytes else ""
        listed.add_row(
            environment.name,
            environment.state,
            ", ".join(environment.backends),
            environment.python,
            size,
            environment.summary,
        )
    console().print(listed)
    return 0


def _create(arguments: argparse.Namespace) -> int:
    failures: list[BakeoffError] = []
    environments.ask(arguments.names, {}, consent(arguments))
    for name in arguments.names:
        try:
            made = environments.ensure(name, listener=Lines(), consent=environments.agreed)
            say(f"{name}: ready, {made.python}")
        except BakeoffError as failure:
            tell_error(failure)
            failures.append(failure)
    return failures[0].exit_code if failures else 0


def _remove(arguments: argparse.Namespace) -> int:
    for name in arguments.names:
        environments.remove(name)
        say(f"{name}: removed")
    return 0


def _pack(arguments: argparse.Namespace) -> int:
    packed = environments.pack(arguments.name, arguments.output, listener=Lines())
    spec = environments.catalogue().get(arguments.name)
    compiler = ", and g++, with which Theano compiles while it runs" if spec and spec.needs_compiler else ""
    glibc = os.confstr("CS_GNU_LIBC_VERSION")
    say(packed)
    tell(f"It needs Linux on {platform.machine()} with {glibc} or newer{compiler}.")
    tell(f"Spark unpacks it with spark.archives={packed}#environment;")
    tell("its interpreter is then ./environment/bin/python.")
    return 0
