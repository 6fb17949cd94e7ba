"""What a distribution can be told, with defaults: pure data, read by both sides.

An option's default also states its form, as in `bakeoff_worker.models.catalogue`; words are one of
`CHOICES`, or match `PATTERNS`, or are free.
"""

from typing import Any, Dict, Tuple

DISTRIBUTIONS: Dict[str, Dict[str, Any]] = {
    "single": {},
    "elephas": {
        # nodes x cores per node; one executor a node, one task slot for `task_cpus` cores.
        "layout": "5x4",
        # ``embedded`` (a standalone cluster on this machine) or the master's URL.
        "master": "embedded",
        # Elephas's own: how weights travel, how often, and through which server.
        "mode": "asynchronous",
        "frequency": "epoch",
        "parameter_server": "http",
        # ``as_released``, or ``averaged``: the correction of the library's issue 173, for releases that sum.
        "merge": "as_released",
        # Calls of fit, each of epochs / rounds; the error is measured after each.
        "rounds": 1,
        "batch_size_per_task": 200,
        # ``driver`` (Elephas's own way: parallelized from the driver) or ``parquet`` (read by the executors).
        "data_source": "driver",
        # Where the executors see the Parquet files; empty: the path that Bakeoff wrote them to.
        "data_url": "",
        # ``cold``: as users get it. ``warm``: Python workers started and one round trained and undone first.
        "executors": "cold",
        "task_cpus": 1,
        "executor_memory_mib": 1024,
        "driver_memory_mib": 2048,
        # Limit of each Python worker's memory; 0: none.
        "python_memory_mib": 0,
        "reuse_python_workers": True,
        # Theano's: one for all on a machine, or one an executor.
        "compile_directory": "shared",
        # Packed environment that the executors unpack and run; empty: the environment at its own path.
        "archive": "",
    },
}

CHOICES: Dict[str, Tuple[str, ...]] = {
    "mode": ("asynchronous", "synchronous", "hogwild"),
    "frequency": ("epoch", "batch"),
    "parameter_server": ("http", "socket"),
    "merge": ("as_released", "averaged"),
    "data_source": ("driver", "parquet"),
    "executors": ("cold", "warm"),
    "compile_directory": ("shared", "executor"),
}

# Regular expression and what it stands for in words.
PATTERNS: Dict[str, Tuple[str, str]] = {
    "layout": (r"[1-9]\d{0,2}x[1-9]\d{0,2}", "nodes x cores per node, such as `5x4`"),
    "master": (
        r"embedded|yarn|(spark|k8s)://\S+",
        "`embedded`, `spark://HOST:PORT`, `yarn` or `k8s://HOST:PORT`",
    ),
}


def merging(version: str, mode: str, merge: str = "as_released") -> str:
    """How a release of Elephas puts together what the partitions learnt, the one place that says so.

    ``sum`` or ``mean``: of the weight changes of all partitions, once they are there (synchronous). ``each``:
    every change is subtracted in full as soon as it comes (asynchronous, hogwild).

    Read from the files of the releases: up to 1.2.1 they subtract every change, from 2.0.0 on each one
    divided by the number of partitions. ``merge`` averaged is that correction, applied to an older one.
    """
    if mode != "synchronous":
        return "each"
    averages = int(version.partition(".")[0]) >= 2
    return "mean" if averages or merge == "averaged" else "sum"


def slots(options: Dict[str, Any]) -> int:
    """Tasks that run at once, and partitions of the data: cores of the layout over cores a task."""
    nodes, cores = layout(options)
    return nodes * (cores // int(options["task_cpus"]))


def layout(options: Dict[str, Any]) -> Tuple[int, int]:
    """Nodes, and cores on each."""
    nodes, cores = str(options["layout"]).split("x")
    return int(nodes), int(cores)
