"""What is known of a backend before its framework is imported: the one place that says it.

Each backend's folder has a `RECORD` in its ``__init__.py``. Names, orders, colours, environments and versions
anywhere in the program are made from these records.
"""

from dataclasses import dataclass
from typing import Optional, Tuple


@dataclass(frozen=True)
class Cuda:
    """What a build for NVIDIA's GPUs needs of a machine.

    version, cudnn: of CUDA and cuDNN, in its lock. driver: the oldest that will do, by its major number.
    capabilities: the oldest and the newest compute capability that it serves, of the newest any minor number.
    Sources: docs/gpu.md.
    """

    version: str
    cudnn: str
    driver: int
    capabilities: Tuple[Tuple[int, int], Tuple[int, int]]


@dataclass(frozen=True)
class Environment:
    """An environment that Bakeoff can make for a backend, or its own interpreter.

    name: a study's word. summary: what is in it, for people. lock: file of pinned and hashed requirements, in
    the backend's folder or among Bakeoff's own; None for Bakeoff's own interpreter, where nothing is made.
    python: the minor version that the lock was made for. has_spark: whether it has Spark, and an Elephas of
    the backend's time. needs_compiler: g++ and the interpreter's headers, called while it runs. disk_bytes:
    free space asked for before making it: what it took, measured, and a fifth more. instead: what to do where
    it can't be had, a sentence. cuda: of a build for GPUs; None: it computes on CPUs.
    """

    name: str
    summary: str
    lock: Optional[str] = None
    python: str = "3.11"
    has_spark: bool = False
    needs_compiler: bool = False
    disk_bytes: int = 0
    instead: str = ""
    cuda: Optional[Cuda] = None


@dataclass(frozen=True)
class Record:
    """One backend.

    name: of its folder; a study's word. place: in tables and legends, from 0 on. colours: of its lines, on a
    light page and on a dark one. symbol: of its points, by Vega-Lite's name. modules: what must be importable
    before it can run. packages: whose versions tell one release of it from another, the framework first.
    environments: that serve it, its own first. aliases: what people write for its name. has_jit: whether its
    users choose to compile or not. needs_compiler: whether it calls g++ while it runs, wherever it is
    installed. has_network: whether it trains a network that can be
    verified: a model of Keras, or one whose weights it shows (`base.Inspectable`). elephas: the release
    of Elephas that trains it, or its major number; None: no release does.
    """

    name: str
    place: int
    colours: Tuple[str, str]
    symbol: str
    modules: Tuple[str, ...]
    packages: Tuple[str, ...] = ()
    environments: Tuple[Environment, ...] = ()
    aliases: Tuple[str, ...] = ()
    has_jit: bool = True
    needs_compiler: bool = False
    has_network: bool = True
    elephas: Optional[str] = None
