"""What the C library's allocator does with freed memory, by the page faults of real processes."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
from bakeoff_worker import allocator

kept = sys.argv[1] == "keep" and allocator.keep_memory()
assert allocator.keeps_memory() is kept

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

bytearray(64 << 20)
before = faults()
for _ in range(20):
    bytearray(64 << 20)
print(kept, faults() - before)
"""


def _faults(keep: str) -> tuple[bool, int]:
    told = subprocess.run([sys.executable, "-c", _FAULTS, keep], capture_output=True, text=True, check=True)
    kept, number = told.stdout.split()
    return kept == "True", int(number)


def test_freed_memory_is_kept_for_the_next_block():
    kept, few = _faults("keep")
    if not kept:
        pytest.skip("this system's C library is not glibc")
    _, many = _faults("leave")
    assert many > 10_000  # of pages of 4 KiB, 16,384 a block; calloc gets fresh ones from the system
    assert few < many / 100
