"""Runs inside an environment: precompiles what every module of Theano includes.

``python theano_headers.py WORKER_ROOT FOLDER`` makes the folder with all.h and all.h.gch/, which the compiler
takes for it in silence wherever the flags are the same.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import numpy

from bakeoff_worker.backends.theano import compat

# Theano tries flags on programs that are compiled without its own folders of headers.
NAMES = """
#if __has_include(<Python.h>)
#include <Python.h>
#include <iostream>
#include "theano_mod_helper.h"
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#endif
"""


def main(folder):
    """For modules with OpenMP and without."""
    compat.install()
    import theano
    from theano.gof.cmodule import GCC_compiler

    (folder / "all.h.gch").mkdir(parents=True)
    (folder / "all.h").write_text(NAMES)
    own = Path(theano.__file__).parent / "gof" / "c_code"
    places = [f"-I{place}" for place in (numpy.get_include(), sysconfig.get_paths()["include"], own)]
    command = [theano.config.cxx, "-x", "c++-header", "-g", "-fno-math-errno", "-fPIC", "-fvisibility=hidden"]
    for name, more in (("plain", []), ("openmp", ["-fopenmp"])):
        files = [str(folder / "all.h"), "-o", str(folder / "all.h.gch" / name)]
        subprocess.check_call(command + GCC_compiler.compile_args() + places + more + files)


main(Path(sys.argv[2]))
