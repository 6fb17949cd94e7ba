"""What the steps of one run share, settled before its cluster is started."""

from dataclasses import replace
from typing import Any, Dict, Set, Tuple

from bakeoff_worker import data
from bakeoff_worker.distribution import catalogue
from bakeoff_worker.distribution.elephas.releases import Release
from bakeoff_worker.distribution.elephas.task import Setup
from bakeoff_worker.job import Job, RunPaths, TrialSettings


class Run:
    """What the steps of one run share, settled before the cluster is started."""

    def __init__(
        self,
        job: Job,
        options: Dict[str, Any],
        release: Release,
        backend: Any,
        source: data.Source,
        evaluation: Tuple[Any, Any],
        folder: str,
        own_layers: Dict[str, Any],
    ) -> None:
        self.job, self.options, self.release, self.backend = job, options, release, backend
        self.source, self.evaluation, self.folder = source, evaluation, folder
        self.own_layers = own_layers
        self.settings: TrialSettings = job.spec.settings
        self.num_nodes, self.cores_per_node = catalogue.layout(options)
        self.num_slots = catalogue.slots(options)
        # Tasks side by side, each with every core, would only be in each other's way.
        self.threads = self.settings.threads or options["task_cpus"]
        self.figures: Any = None  # Spark's accumulator of what the tasks took
        self.warm_up_stages: Set[int] = set()

    @property
    def num_images(self) -> int:
        """Training images of one epoch."""
        return len(self.source.order)

    @property
    def python_memory_mib(self) -> int:
        """Limit of an executor's Python processes together: Spark shares it out among its cores."""
        return int(self.options["python_memory_mib"]) * self.cores_per_node

    @property
    def rounds(self) -> int:
        """Calls of fit: as many as asked; one an epoch where the release merges after each anyway."""
        if self.options["mode"] == "synchronous" and self.release.merges_every_epoch:
            return self.settings.epochs
        return int(self.options["rounds"])

    @property
    def epochs_per_round(self) -> int:
        """Epochs of one call of fit."""
        return self.settings.epochs // self.rounds

    def model(self) -> Any:
        """Elephas's model, around the backend's as it is now."""
        metric = self.backend._metrics()[0]
        return self.release.model(self.backend.model, metric, self.options, self.own_layers)

    def setup(self) -> Setup:
        """How an executor's Python process gets ready."""
        paths = RunPaths(self.job.paths.dataset, None, self.job.paths.scratch, "")
        settings = replace(self.settings, threads=self.threads)
        return Setup(settings, paths, self.options["compile_directory"])
