"""A folder for what need not be kept, which is gone afterwards however this process ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Where a folder names the process group that works in it, which is ended if the folder is left behind: a
# stopped process does not notice that whoever asked for it is gone.
GROUP = "group"

# Reads the folder's name, waits until the pipe closes, ends the group that is left and removes what is left,
# more than once: somebody who is dying may still write. Started before there is a folder, in a session that
# no signal of ours reaches.
_JANITOR = f"""
IFS= read -r folder
read -r _
if [ -n "$folder" ] && read -r group < "$folder/{GROUP}"; then
    kill -s KILL -- "-$group"
fi
n=0
while [ -n "$folder" ] && [ -e "$folder" ] && [ $n -lt 100 ]; do
    rm -rf "$folder"
    n=$((n + 1))
    sleep 0.05
done
"""


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder in the system's place for temporary files, named with this prefix.

    Killed, we could remove nothing: a shell that waits at a pipe, costing nothing, does it then.
    """
    janitor = subprocess.Popen(
        ["/bin/sh", "-c", _JANITOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    assert janitor.stdin is not None
    try:
        # Errors while it removes are a race lost with a worker that removes it, too.
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
            janitor.stdin.write(os.fsencode(name) + b"\n")
            janitor.stdin.flush()
            yield Path(name)
    finally:
        with suppress(BrokenPipeError):
            janitor.stdin.close()
        janitor.wait()
