"""Asking before gigabytes are downloaded: on the terminal, or by ``--yes``."""

from __future__ import annotations

import argparse
import shlex
import sys

from bakeoff.cli.console import tell
from bakeoff.environments import Consent, Download
from bakeoff.errors import EnvironmentFailure


def consent(arguments: argparse.Namespace) -> Consent:
    """Says the size, then takes ``--yes``, or asks where there is a terminal; without both it refuses."""

    def ask(download: Download) -> None:
        names = ", ".join(download.names)
        tell(
            f"{names}: not made yet: {download.size} of packages with CUDA are downloaded, less what uv has "
            f"already; about {download.disk_bytes / 1e9:.0f} GB on disk"
        )
        if arguments.yes:
            return
        if sys.stdin.isatty() and sys.stderr.isatty():
            print("Download them? [y/N] ", end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() in ("y", "yes"):
                return
        raise EnvironmentFailure(
            f"{names}: nothing was downloaded: {download.size} need your consent",
            f"Go on with: bakeoff {shlex.join(sys.argv[1:])} --yes",
        )

    return ask
