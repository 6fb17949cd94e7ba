"""What the C library's allocator does with freed memory, by the page faults of real processes."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_FAULTS = """
import resource, sys, threading
from bakeoff_worker import allocator

kept = sys.argv[1] == "keep" and allocator.keep_memory()
assert allocator.keeps_memory() is kept

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    bytearray(size)
    before = faults()
    for _ in range(20):
        bytearray(size)
    found.append(faults() - before)

found, size = [], int(sys.argv[2]) << 20
thread = threading.Thread(target=work)
for do in (thread.start, thread.join, work):
    do()
print(kept, *found)
"""


def _faults(keep: str, mebibytes: int) -> tuple[bool, int, int]:
    """Whether memory was kept, and page faults of 20 blocks freed in turn: in a thread, in the main one."""
    told = subprocess.run(
        [sys.executable, "-c", _FAULTS, keep, str(mebibytes)], capture_output=True, text=True, check=True
    )
    kept, in_thread, in_main = told.stdout.split()
    return kept == "True", int(in_thread), int(in_main)


@pytest.mark.parametrize("mebibytes", [40, 100])  # of what a thread's heap can hold, and of more
def test_freed_memory_is_kept_for_the_next_block(mebibytes):
    kept, *few = _faults("keep", mebibytes)
    if not kept:
        pytest.skip("this system's C library is not glibc")
    _, *many = _faults("leave", mebibytes)
    assert min(many) > 20 * 200 * mebibytes  # of 256 pages of 4 KiB a MiB
    assert max(few) < min(many) / 20
