"""What is asked of a run: its settings, its place in a plan, its files; one JSON file for the worker.

Everything here is a frozen dataclass that survives JSON unchanged. The module speaks Python 3.7 and
imports the standard library alone, since both sides read it. What a run reports is in `records`.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

# What is timed, and how. Results of different versions never share a mean.
#   1  first version: fit per epoch on pre-permuted arrays, clock paused for evaluation, device
#      synchronized at epoch borders, first step (every batch shape trained once and undone, and evaluated
#      once, with all compilation) timed apart.
#   2  `evaluation_images` = N draws a random subset, each class with its share, the same in every run.
#      Before, errors were measured on the first N images: of data sorted by class, a class or two.
#      Layers within layers and recurrent ones start from weights drawn here, not by the framework. Epochs
#      that are too short for the driver's samples have no device seconds.
MEASUREMENT_VERSION = 2

# How the contestants of a race share a machine.
ORDERS = ("sequential", "alternating")

# What neither the network nor a single step of it depends on: see `TrialSettings.reduced`.
_OF_NO_STEP = (
    "train_images",
    "evaluation_images",
    "evaluation_split",
    "validation_fraction",
    "epochs",
    "threads",
    "pin_cpus",
    "keep_memory",
    "steps_per_execution",
    "autotune_input",
    "time_limit_s",
    "keep_event_logs",
    "data_scale",
    "distribution",
    "distribution_options",
    "entry",
    "handicap",
    "order",
    "turn_steps",
    "early_stopping",
    "gpu",
)
# Of what a cluster is told, what the arithmetic of a synchronous round doesn't depend on: as it is verified.
_OF_NO_ROUND: Mapping[str, Any] = {
    "layout": "2x2",
    "master": "embedded",
    "batch_size_per_task": 8,
    "rounds": 1,
    "executors": "cold",
    "data_source": "driver",
    "data_url": "",
    "archive": "",
    "task_cpus": 1,
    "compile_directory": "shared",
    "reuse_python_workers": True,
}
# Images a batch, where contestants are verified: enough to meet every layer's every branch, and cheap.
_VERIFIED_BATCH_SIZE = 8


@dataclass(frozen=True)
class TrialSettings:
    """One configuration: everything that decides what is computed and by whom.

    backend: name of a folder of ``bakeoff_worker.backends``, or of `contestant` without its suffix.
    environment: name of the environment it runs in.
    model: a built-in model's name, or the path of a Python file with ``build(input_shape, num_classes)``.
    model_options: keyword arguments for a built-in model (``filters``, ``kernel_sizes``, ...).
    dataset: a catalogue name, or the path of a ``.npz``, ``.parquet``, ``.csv`` or ``.py`` file or a folder.
    train_images, evaluation_images: subset sizes; None takes all. Training images are drawn with the run's
        seed; evaluation images, each class with its share, are the same ones in every run.
    evaluation_split: ``test`` (as the study did) or ``validation`` (held out of the training set).
    validation_fraction: share of the training set held out when the split is ``validation``.
    image_size: side in pixels that images are resized to; None keeps them.
    preprocessing: ``scale`` (pixels / 255), ``standardize`` (zero mean, unit variance per channel,
        statistics of the training images), or ``none``.
    epochs, global_batch_size, optimizer, optimizer_options, learning_rate, loss: the training recipe; ``own``
        as optimizer or loss: what the user's model file brings along.
    from_logits: the model ends in logits, and the loss takes their softmax or sigmoid itself; a model file
        may say so as well (``from_logits = True``).
    device: ``cpu`` or ``gpu``. gpu: which card, from 0, of those that programs may use here; the others are
        hidden.
    threads: intra-op threads; None leaves the backend's own default.
    pin_cpus: bind the process to as many CPUs as it has threads.
    jit: ask for (True) or refuse (False) just-in-time compilation; None leaves the backend's default.
    precision: ``float32``, ``float64``, ``mixed_float16`` or ``mixed_bfloat16``.
    data_layout: ``channels_last`` or ``channels_first``.
    deterministic: ask the backend for deterministic kernels.
    time_limit_s: wall seconds after which a run counts as hung and is killed; None: no limit.
    data_scale: times the training set is repeated, each further copy changed at random in ways that keep
        the labels (augmentation with a seed of its own, the same for all contestants).
    distribution: how the work is spread: ``single`` (one process) or ``elephas`` (a Spark cluster).
    distribution_options: what the distribution can be told, see `bakeoff_worker.distribution.catalogue`;
        on a cluster ``global_batch_size`` is not used: each task has batches of its own.
    entry: a name under which the same contestant enters once more, to be compared with itself.
    handicap: makes training slower by this fraction, on purpose: after each epoch the process works on
        in vain, inside what is timed. A difference of known size, to see whether it is found.
    keep_memory: have the C library's allocator keep what is freed, instead of giving it back to the system.
    tf32: let a GPU round float32 factors to TF32's 10 bits (True) or not (False); None leaves what the
        framework does by itself, which differs between frameworks.
    order: ``sequential`` (one run after the other) or ``alternating`` (all contestants of a race live at the
        same time and train a slice each in turn, while the others are stopped).
    turn_steps: training steps that make a slice, where contestants alternate; None: an epoch.
    weight_decay: share of the learning rate by which each step shrinks every weight (decoupled).
    clip_value, clip_norm, clip_global_norm: bound on each number of a gradient, on the norm of each weight's
        gradient, or on the norm of all gradients together; None: no bound. At most one of them.
    label_smoothing: share of each one-hot label that is spread evenly over all classes.
    schedule, schedule_options: how the learning rate goes over the steps, see `bakeoff_worker.schedules`.
    class_weights: factor on the loss of each class's images, ``balanced`` for images over classes times those
        of the class; None: all alike.
    early_stopping: epochs without a lower validation loss after which the training ends; None: never.
    contestant: path of a Python file whose class ``Backend`` is the backend; empty: the folder of that name.
    steps_per_execution: training steps that Keras takes in one call of the framework.
    autotune_input: let TensorFlow's input pipeline tune itself while it trains, as Keras does.
    equivalent_layers: layers that plain Keras can also write in another way, at the same mathematics, written
        so: max-pooling over windows that tile the image as a reshape and a maximum.
    variables: environment variables of the run's process, name to text; None: those that every run has.
    keep_event_logs: folder that takes Spark's event log of each run on a cluster; empty keeps none.
    content: what the user's own contestant (``contestant``), model (``model``) and data (``dataset``) are,
        whatever their files are called: digests of all that a contestant or a model read while it was built,
        and of a data set's arrays (also of known sets that were resized). ``scaled``: of the arrays with
        changed copies. Filled in before a study runs; until then, a path stands for what is there.
    """

    backend: str
    environment: str
    model: str = "study_cnn"
    model_options: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = "mnist"
    train_images: Optional[int] = None
    evaluation_images: Optional[int] = None
    evaluation_split: str = "test"
    validation_fraction: float = 0.1
    image_size: Optional[int] = None
    preprocessing: str = "scale"
    epochs: int = 10
    global_batch_size: int = 200
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 1e-3
    loss: str = "categorical_crossentropy"
    device: str = "cpu"
    threads: Optional[int] = None
    pin_cpus: bool = False
    jit: Optional[bool] = None
    precision: str = "float32"
    data_layout: str = "channels_last"
    deterministic: bool = False
    time_limit_s: Optional[float] = None
    data_scale: int = 1
    distribution: str = "single"
    distribution_options: Mapping[str, Any] = field(default_factory=dict)
    entry: str = ""
    handicap: float = 0.0
    keep_memory: bool = False
    tf32: Optional[bool] = None
    keep_event_logs: str = ""
    order: str = "sequential"
    turn_steps: Optional[int] = None
    from_logits: bool = False
    weight_decay: float = 0.0
    clip_value: Optional[float] = None
    clip_norm: Optional[float] = None
    clip_global_norm: Optional[float] = None
    label_smoothing: float = 0.0
    schedule: str = "constant"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    class_weights: Union[str, List[float], None] = None
    early_stopping: Optional[int] = None
    gpu: int = 0
    contestant: str = ""
    steps_per_execution: int = 1
    autotune_input: bool = True
    equivalent_layers: bool = False
    variables: Optional[Mapping[str, str]] = None
    content: Mapping[str, str] = field(default_factory=dict)

    @property
    def trial_id(self) -> str:
        """16 hex digits that name this configuration wherever it is run.

        Keys at their default are left out, so that a key added later renames no older trial; a default,
        once released, therefore never changes. Left out too is what decides nothing that is measured: when
        we give up, and what is kept afterwards.
        """
        plain = TrialSettings(self.backend, self.environment)
        identity = {
            key: value
            for key, value in dataclasses.asdict(self).items()
            if value != getattr(plain, key) or key in ("backend", "environment")
        }
        for name in ("time_limit_s", "keep_event_logs"):
            identity.pop(name, None)
        known = self.content.keys() & {"contestant", "model", "dataset"}
        identity.update(dict.fromkeys(known, ""))  # by content, wherever they lie
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def alternates(self) -> bool:
        """Whether its runs take turns with the others of their block."""
        return self.order == "alternating"

    @property
    def problem(self) -> Tuple[str, str]:
        """Data set and model: who solves another problem races in another race."""
        return self.dataset, self.model

    def reduced(self) -> "TrialSettings":
        """These settings as they are verified: whatever doesn't matter for that at its default."""
        plain = TrialSettings(self.backend, self.environment)
        defaults: Dict[str, Any] = {name: getattr(plain, name) for name in _OF_NO_STEP}
        if self.schedule != plain.schedule:
            defaults["epochs"] = self.epochs  # they are its length
        defaults["global_batch_size"] = min(_VERIFIED_BATCH_SIZE, self.global_batch_size)
        defaults["content"] = {key: digest for key, digest in self.content.items() if key != "scaled"}
        return dataclasses.replace(self, **defaults)

    @property
    def verified_id(self) -> str:
        """16 hex digits that trials share if one verification of their network and steps serves them."""
        return self.reduced().trial_id

    def one_round(self) -> "TrialSettings":
        """One small round of a distributed trial, as it is verified: one thread a task, and alone."""
        options = dict(self.distribution_options, **_OF_NO_ROUND)
        return dataclasses.replace(
            self.reduced(),
            epochs=1,
            threads=1,
            global_batch_size=options["batch_size_per_task"],
            distribution=self.distribution,
            distribution_options=options,
        )

    @property
    def verified_round_id(self) -> str:
        """16 hex digits that trials share if one verified round serves them; empty on one machine."""
        return "" if self.distribution == "single" else self.one_round().trial_id


@dataclass(frozen=True)
class RunSpec:
    """One run as planned: a trial, its repeat, and its place in the order.

    label: the contestant's name for people, unique within a study.
    repeat: index of this re-execution, from 0. block: index of the block that it belongs to.
    position: place within its block. seed: same for all trials of a repeat; gives initial weights,
    batch order and data split.
    """

    settings: TrialSettings
    label: str
    repeat: int
    block: int
    position: int
    seed: int

    @property
    def trial_id(self) -> str:
        """The trial's identity, see `TrialSettings.trial_id`."""
        return self.settings.trial_id


@dataclass(frozen=True)
class RunPaths:
    """Where one run finds and leaves things; absolute paths, known only at launch.

    dataset: folder with ``x_train.npy``, ``y_train.npy``, ``x_test.npy``, ``y_test.npy`` and ``about.json``.
    model_file: the user's model file, or None for a built-in model.
    scratch: folder that outlives the run and is private to its environment (compile caches).
    records: file that the worker appends its records to.
    parquet: folder of Parquet files with the training images, if a cluster's executors read them.
    java: home of the Java that a Spark driver starts; None where there is no cluster.
    folder: private to the run and removed when it is over, however it ends.
    evidence: file for what the contestant computes, where it is to be verified instead of timed.
    looks: whether the model is only to be built, to see what it reads.
    profile: what is to be shown instead of being timed: ``budget`` (where the wall time goes) or ``layers``
        (what each layer takes); None for anything else.
    """

    dataset: str
    model_file: Optional[str]
    scratch: str
    records: str
    parquet: Optional[str] = None
    java: Optional[str] = None
    folder: Optional[str] = None
    evidence: Optional[str] = None
    looks: bool = False
    profile: Optional[str] = None


@dataclass(frozen=True)
class Job:
    """The worker's whole input: one JSON file."""

    spec: RunSpec
    paths: RunPaths
    measurement_version: int = MEASUREMENT_VERSION


def job_to_json(job: Job) -> str:
    """The worker's input file."""
    return json.dumps(dataclasses.asdict(job), allow_nan=False)


def job_from_json(text: str) -> Job:
    """Read the worker's input file."""
    body = json.loads(text)
    spec = body["spec"]
    return Job(
        spec=RunSpec(**dict(spec, settings=TrialSettings(**spec["settings"]))),
        paths=RunPaths(**body["paths"]),
        measurement_version=body["measurement_version"],
    )
