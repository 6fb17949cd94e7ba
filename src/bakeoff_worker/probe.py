"""What this process really runs on: versions, threads, BLAS libraries, memory."""

import ctypes
import json
import os
import re
import sys
from typing import Any, Dict, List, Optional


def versions() -> Dict[str, str]:
    """Installed distributions, name to version."""
    try:
        from importlib import metadata
    except ImportError:  # Python 3.7
        import pkg_resources  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return {item.project_name: item.version for item in pkg_resources.working_set}
    return {
        str(item.metadata["Name"]): item.version for item in metadata.distributions() if item.metadata["Name"]
    }


def num_threads() -> Optional[int]:
    """Threads that this process has at this moment; None where unknown."""
    found = _status(r"Threads:\s+(\d+)")
    return int(found) if found else None


def count_threads(name: str) -> Optional[int]:
    """Threads of this process by that name (15 characters at most); None where unknown."""
    try:
        names = []
        for thread in os.listdir("/proc/self/task"):
            with open("/proc/self/task/{}/comm".format(thread)) as comm:
                names.append(comm.read().strip())
    except OSError:
        return None
    return names.count(name)


def openblas(library: str) -> Dict[str, Any]:
    """Build and number of threads of an OpenBLAS that this process loaded; empty where it doesn't say."""
    try:
        loaded = ctypes.CDLL(library)
        loaded.openblas_get_config.restype = ctypes.c_char_p
        return {
            "config": loaded.openblas_get_config().decode().strip(),
            "threads": loaded.openblas_get_num_threads(),
        }
    except (OSError, AttributeError):
        return {}


def openmp_threads() -> Optional[int]:
    """Threads of GNU OpenMP's next parallel region; None where it isn't loaded."""
    try:
        return int(ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW).omp_get_max_threads())
    except (OSError, AttributeError):
        return None


def peak_memory_bytes() -> Optional[int]:
    """Peak resident memory of this process so far."""
    found = _status(r"VmHWM:\s+(\d+) kB")
    if found:
        return int(found) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def numeric_libraries() -> List[str]:
    """File names of the mathematics libraries mapped into this process (BLAS, oneDNN, OpenMP, CUDA)."""
    try:
        with open("/proc/self/maps") as maps:
            text = maps.read()
    except OSError:
        return []
    pattern = (
        r"/([^/\s]*(?:blas|mkl|dnnl|onednn|gomp|omp5|iomp|cudnn|cublas|armpl|accelerate)[^/\s]*\.so[^/\s]*)"
    )
    return sorted(set(re.findall(pattern, text, re.IGNORECASE)))


def cpus() -> List[int]:
    """Numbers of the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def thread_variables() -> Dict[str, str]:
    """Environment variables that steer thread counts and compilers, as this process has them."""
    names = r"^(OMP|MKL|OPENBLAS|TF|XLA|JAX|THEANO|KERAS|TORCH|CUDA|GOTO|NUMEXPR|BLIS|VECLIB)_"
    own = ("KERAS_HOME",)  # an empty folder of each run's
    return {
        key: value for key, value in sorted(os.environ.items()) if re.match(names, key) and key not in own
    }


def homeless(facts: Dict[str, Any]) -> Dict[str, Any]:
    """The facts, JSON-plain, with the user's home folder written as ``~``: results travel to others."""
    home = os.path.expanduser("~")
    if len(home) < 2:
        return facts
    return dict(json.loads(json.dumps(facts).replace(json.dumps(home)[1:-1] + "/", "~/")))


def _status(pattern: str) -> Optional[str]:
    try:
        with open("/proc/self/status") as status:
            found: Any = re.search(pattern, status.read())
    except OSError:
        return None
    return found.group(1) if found else None
