"""What each release of Elephas can do, does, and gets wrong: read from its own files, and seen to run.

Two are known: 0.4.5 (2020), the last that runs behind Keras 2 and so with Theano, and 7.3.0 (2025), the
current one, behind TensorFlow's Keras 3. Another release of the 7 line is driven as 7.3.0 is, others are
declined.
"""

from typing import Any, Callable, Dict, List

from bakeoff_worker.backends.base import Skip
from bakeoff_worker.distribution import catalogue


class Release:
    """The one that is installed.

    version: of the installed distribution. old: whether it is of the line before 1.0.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.old = version.startswith("0.")

    def check(self, backend: str, options: Dict[str, Any]) -> None:
        """Pass if it can do what is asked.

        Raises:
            Skip: it can't, with what it can do.
        """
        mode, frequency, merge = options["mode"], options["frequency"], options["merge"]
        if not self.version.startswith(("0.4.", "7.")):
            raise Skip("Elephas {} is not known here: expected 0.4.5 or a 7".format(self.version))
        if not self.old and backend != "tensorflow":
            raise Skip("Elephas {} trains TensorFlow's Keras alone, not {}".format(self.version, backend))
        if merge == "averaged" and catalogue.merging(self.version, mode) != "sum":
            why = "averages by itself" if not self.old else "sums only where it merges: in mode synchronous"
            raise Skip("merge averaged: Elephas {} {}".format(self.version, why))
        if self.old and mode != "synchronous" and options["parameter_server"] == "socket":
            raise Skip(
                "Elephas {}'s socket server mixes bytes and text on Python 3: use http".format(self.version)
            )
        if options["parameter_server"] == "socket" and options["master"] != "embedded":
            raise Skip(
                "Elephas {}'s socket clients look for the server on their own host: use http on a cluster of "
                "several".format(self.version)
            )
        if not self.old and frequency == "batch" and mode != "synchronous":
            raise Skip(
                "Elephas {} can't train per batch: it asks tensorflow.python.keras to slice its arrays, "
                "which fails on arrays of NumPy".format(self.version)
            )

    @property
    def merges_every_epoch(self) -> bool:
        """Whether a synchronous fit is one Spark job an epoch, weights merged after each."""
        return not self.old

    def model(
        self, keras_model: Any, metric: Any, options: Dict[str, Any], custom_objects: Dict[str, Any]
    ) -> Any:
        """Elephas's SparkModel around a compiled Keras model. custom_objects: see `travel.own_layers`."""
        from elephas import spark_model

        mode, server = options["mode"], options["parameter_server"]
        if self.old:
            # Compared by identity in 0.4.5 (`self.mode is not 'synchronous'`): hand over its own literal.
            mode = _its_own_literal(spark_model.SparkModel, mode)
            model = spark_model.SparkModel(
                keras_model,
                mode=mode,
                frequency=options["frequency"],
                parameter_server_mode=server,
                custom_objects=custom_objects,
            )
            # Keras 2.3's metrics are objects that carry the driver's graph, which no worker can take.
            model.master_metrics = [metric]
            return model
        if mode == "synchronous":
            return spark_model.SparkModel(keras_model, custom_objects=custom_objects)
        return spark_model.AsynchronousSparkModel(
            keras_model,
            mode=mode,
            frequency=options["frequency"],
            parameter_server_mode=server,
            custom_objects=custom_objects,
        )

    def correct(self, num_partitions: int) -> None:
        """The published correction (issue 173; releases from 2.0): each delta divided by their number."""
        from elephas import spark_model

        subtract = getattr(spark_model.subtract_params, "own", spark_model.subtract_params)

        def subtract_share(weights: Any, delta: Any) -> Any:
            return subtract(weights, [each / num_partitions for each in delta])

        subtract_share.own = subtract  # type: ignore[attr-defined]
        spark_model.subtract_params = subtract_share

    def merge(self, options: Dict[str, Any]) -> str:
        """How weight changes are merged, see `catalogue.merging`."""
        return catalogue.merging(self.version, options["mode"], options["merge"])

    def arithmetic(self, options: Dict[str, Any], num_partitions: int) -> List[str]:
        """What this release computes in this mode, one sentence each."""
        mode, frequency = options["mode"], options["frequency"]
        said: List[str] = []
        if mode == "synchronous":
            if self.old:
                said.append(
                    "each task trains all epochs of a round on its own shard from the same weights; the "
                    "weight changes are merged once, at the end"
                )
                said.append(
                    "the {} changes are averaged, each shard weighing the same (the correction published "
                    "with release 2.0; this release sums them)".format(num_partitions)
                    if self.merge(options) == "mean"
                    else "the changes of all {0} shards are summed, not averaged: one round moves the "
                    "weights about {0} times as far as one shard would".format(num_partitions)
                )
            else:
                said.append(
                    "each epoch is one Spark job from the same weights; the weight changes are averaged "
                    "after it, each shard weighing the same whatever its size"
                )
            said.append("the optimizer's state starts anew in every task and is lost with it")
            said.append(
                "a shard no larger than one batch trains nothing"
                + (" and still counts in the average" if self.merge(options) == "mean" else "")
            )
        else:
            said.append(
                "each task fetches the weights from the parameter server before every {0}, trains it, and "
                "sends the change, which the server subtracts at once and in full: what {1} tasks learn at "
                "the same time adds up".format(frequency, num_partitions)
            )
            said.append(
                "the server {} its weights while it changes them".format(
                    "locks" if mode == "asynchronous" else "does not lock"
                )
            )
            said.append("the optimizer's state stays with each task over its epochs")
            said.append("a shard no larger than one batch trains nothing")
        return said


def installed() -> Release:
    """The installed release.

    Raises:
        Skip: there is none.
    """
    from bakeoff_worker import probe

    versions = {name.lower(): version for name, version in probe.versions().items()}
    if "elephas" not in versions:
        raise Skip("Elephas is not installed in this environment")
    return Release(versions["elephas"])


def wrap_workers(wrap: Callable[[Any], Any]) -> None:
    """Have Elephas put `wrap(worker)` where it would put a worker of its own, also when called again."""
    from elephas import spark_model

    for name in ("SparkWorker", "AsynchronousSparkWorker"):
        factory = getattr(spark_model, name)
        kind = getattr(factory, "kind", factory)

        def make(*arguments: Any, kind: Any = kind) -> Any:
            return wrap(kind(*arguments))

        make.kind = kind  # type: ignore[attr-defined]
        setattr(spark_model, name, make)


def _its_own_literal(kind: Any, mode: str) -> str:
    """The very string object in the class's code that equals `mode`; `mode` itself where it has none."""
    constants = kind.__init__.__code__.co_consts
    return next((each for each in constants if isinstance(each, str) and each == mode), mode)
