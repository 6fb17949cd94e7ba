"""The C library's allocator, told to keep the memory that a framework frees.

By default glibc gives large blocks back to the system as soon as they are freed, and gets them again page by
page, each page cleared: a framework that allocates its tensors anew in every step pays that in every step,
and how much a page costs varies from process to process, most of all in a virtual machine.
"""

import ctypes
import os

# From malloc.h. Values are C ints; see mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_NEVER = -1
_STEP_BYTES = 64 << 20

_keeps = False  # said once, for the whole process


def keep_memory() -> bool:
    """Keep what is freed from now on, for the next allocation; False where the C library can't be told so.

    All threads share one heap then: those of threads are unmapped whole once they are empty, whatever is said
    of trimming. Call it before there is a second thread.
    """
    global _keeps
    if os.name == "posix" and not _keeps:
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # macOS and musl have none
            return False
        wanted = (
            (_M_ARENA_MAX, 1),
            (_M_MMAP_MAX, 0),
            (_M_TRIM_THRESHOLD, _NEVER),
            (_M_TOP_PAD, _STEP_BYTES),
        )
        _keeps = all(bool(mallopt(option, value)) for option, value in wanted)
    return _keeps


def keeps_memory() -> bool:
    """Whether this process was told so, and its C library took it."""
    return _keeps
