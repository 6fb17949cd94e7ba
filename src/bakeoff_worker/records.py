"""The wire format between a worker and Bakeoff: what is asked of a run, and what it reports.

Everything here is a frozen dataclass that survives JSON unchanged. A run's records are JSON lines,
one record a line, ``{"kind": "epoch", ...}``, in the order in which things happened. The module
speaks Python 3.7 and imports the standard library alone, since both sides read it.

Units are suffixes (``_s`` seconds, ``_bytes``). Fields that a platform cannot measure are None,
never zero.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type, Union

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


# ---- what a run reports -------------------------------------------------------------------------


@dataclass(frozen=True)
class RunStarted:
    """The worker is up. ``unix_s`` and ``pid`` identify the process; ``python`` is its version."""

    pid: int
    unix_s: float
    python: str
    measurement_version: int


@dataclass(frozen=True)
class Facts:
    """What was asked, what the program made of it, and what was seen to run; JSON-plain mappings.

    Common keys: ``versions`` (package to version), ``threads``, ``blas``, ``jit``, ``precision``,
    ``data_layout``, ``device``, ``deterministic``, ``num_parameters``, ``initial_weights_sha256``,
    ``compile_cache`` (``cold``, ``warm`` or None); of the evaluation images, see `data.Evaluation`:
    ``evaluation_sha256``, ``num_evaluation_pool``, ``chance_error``, ``chance_loss``.
    """

    asked: Mapping[str, Any]
    resolved: Mapping[str, Any]
    observed: Mapping[str, Any]


@dataclass(frozen=True)
class ModelRead:
    """What the user's model reads while it is imported and built: see `bakeoff_worker.reading.Reading.found`.

    Without variables: none reach a worker but those that the condition names.
    """

    paths: List[str]
    folders: List[str]
    absent: List[str]


@dataclass(frozen=True)
class RunInputs:
    """What the run's own model was made from, when the run began.

    files: path, relative to the model's folder, to SHA-256; of a folder that was listed, of its names.
    """

    files: Mapping[str, str]


@dataclass(frozen=True)
class PhaseEnded:
    """One phase of a run is over.

    name: ``interpreter``, ``import`` (NumPy and the framework), ``data``, ``build``, ``first_step`` (every
        batch shape trained, undone, and evaluated once: all compilation that is still due),
    ``training``, ``evaluation`` (totals over epochs), ``outcomes`` (our own question afterwards, see
        `Outcomes`: no part of what a run takes), ``end``; ``stopped`` (others of its block trained meanwhile:
        no part of the run either, and its CPU seconds should be none).
    wall_s, user_s, system_s: of the whole process tree (children count once they have ended).
    """

    name: str
    wall_s: float
    user_s: Optional[float]
    system_s: Optional[float]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, closed: the device synchronized before each clock was read.

    epoch: from 1. num_images: images trained. train_s excludes evaluation; evaluation_s is its own.
    train_loss, train_accuracy: as the framework reports them over the epoch.
    validation_loss; validation_error: 1 - accuracy on the evaluation split, a fraction in [0, 1].
    user_s, system_s: CPU seconds of the process tree during training (not evaluation).
    peak_memory_bytes: peak resident memory of the process so far.
    device_s, device_peak_memory_bytes: GPU busy seconds and peak memory; None on a CPU.
    """

    epoch: int
    num_images: int
    train_s: float
    evaluation_s: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_error: float
    user_s: Optional[float]
    system_s: Optional[float]
    peak_memory_bytes: Optional[int]
    device_s: Optional[float] = None
    device_peak_memory_bytes: Optional[int] = None


@dataclass(frozen=True)
class Outcomes:
    """Which evaluation images the network got wrong as that epoch, the last, left it.

    num_images: evaluation images, in the order of the evaluation split: those that the run's facts name by
        ``evaluation_sha256``.
    wrong: base64 of one bit per image, set where it was misclassified, packed as by ``numpy.packbits``:
        image i is bit 7 - i % 8 of byte i // 8, and the last byte is filled up with zeros.
    """

    epoch: int
    num_images: int
    wrong: str


@dataclass(frozen=True)
class FirstCall:
    """A batch shape met for the first time, in a profile: with whatever is traced and compiled for it.

    call: ``training`` or ``evaluation``. num_images: of the batch.
    """

    call: str
    num_images: int
    wall_s: float
    user_s: Optional[float]
    system_s: Optional[float]


@dataclass(frozen=True)
class ProfiledEpoch:
    """One epoch of a profile: never a timing.

    num_steps: weight updates. wall_s, user_s, system_s: of training, without evaluation. page_faults: pages
    that the kernel had to hand out meanwhile; None where unknown. evaluation_s: of num_evaluated images.
    """

    epoch: int
    num_images: int
    num_steps: int
    num_evaluated: int
    evaluation_s: float
    wall_s: float
    user_s: Optional[float]
    system_s: Optional[float]
    page_faults: Optional[int]


@dataclass(frozen=True)
class LayerDescribed:
    """One layer of a profiled network, in order.

    layer_type: Keras's class. input_shape, output_shape: of one image. weight_shapes: of all its weights.
    options: of Keras's configuration what decides its arithmetic (``kernel_size``, ``strides``, ...).
    """

    name: str
    layer_type: str
    input_shape: List[int]
    output_shape: List[int]
    weight_shapes: List[List[int]]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class VariantTimed:
    """One turn of a variant of a profiled network: seconds a step, training and the forward pass alone.

    depth: layers of the network that the variant has, before an output layer. twin: the layer that an
    equivalent takes the place of; empty: none. turn: index of the round in which all variants had their turn.
    num_images: of a step.
    """

    depth: int
    twin: str
    turn: int
    num_images: int
    step_s: float
    forward_s: float


class ProfiledSpan(NamedTuple):
    """What a framework's own profiler saw of one operation.

    layer: that it belongs to; empty: to none (loss, update, host). direction: ``forward`` or ``backward``;
    empty without a layer. start_s: by the profiler's clock. own_s: of wall_s, what no operation within
    it took. thread: that it ran on. moves: it computes nothing: copies values, or gives them another layout.
    """

    name: str
    layer: str
    direction: str
    start_s: float
    wall_s: float
    own_s: float
    thread: str
    moves: bool = False


@dataclass(frozen=True)
class ProfiledSteps:
    """Training steps under the framework's own profiler. wall_s: of all of them. spans: `ProfiledSpan`s."""

    profiler: str
    num_steps: int
    wall_s: float
    spans: List[Any]


@dataclass(frozen=True)
class Ceilings:
    """What the machine attains in a contestant's own library and threads: floating-point operations a second.

    product_flops: of a large matrix product; convolution_flops: of a convolution with many channels.
    copy_bytes_per_s: read and written, by NumPy in one thread. value_bytes: of one number in the network.
    """

    product_flops: float
    convolution_flops: float
    copy_bytes_per_s: float
    value_bytes: int


@dataclass(frozen=True)
class NotShown:
    """What a profile can't show of this contestant, and why. what: ``layers`` or ``profiler``."""

    what: str
    reason: str


@dataclass(frozen=True)
class StageProgress:
    """How far a cluster is with one stage; for people who wait, nothing is computed from it.

    stage: Spark's id. num_done, num_failed, num_tasks: tasks of it.
    """

    stage: int
    num_done: int
    num_failed: int
    num_tasks: int


@dataclass(frozen=True)
class TaskRecord:
    """One attempt of one Spark task: Spark's own account joined with what was taken inside it.

    stage, stage_attempt, partition, attempt, task_id: Spark's; task_id is unique within the run.
    purpose: ``training``, ``warm_up``, or ``other`` (moving data before it).
    executor, host: where it ran. status: ``ok``, or Spark's reason (``ExecutorLostFailure``, ...).
    launched_s, finished_s: since the application was launched, by the driver's clock.
    run_s to getting_result_s: Spark's account of the task; scheduler_delay_s is what is left of its duration.
        gc_s lies inside run_s. jvm_cpu_s counts the JVM's thread alone, not Python.
    result_bytes: size of the serialized result. shuffle_*: moving data between executors; broadcast lies
        in python_s (first use of the weights).
    worker_start_s: run_s less python_s: start of the Python process, its data pipe, its result.
    process_s: age of the Python process at our first line, where the task is its first, or of Spark's daemon
        that forks such processes, where that was started for this task, too; 0 where it served others before.
    python_s: wall seconds inside our wrapper around the task, of which import_s (framework and Elephas),
        data_s (reading the partition into arrays), build_s (model rebuilt, compiled and loaded with
        weights; with Keras 2 also its training function, which is what Theano compiles), train_s (the rest of
        the framework's training calls; with Keras 3 also tracing in the first of them), exchange_s (the
        parameter server). lock_s: of build_s, waiting for the lock of Theano's compile directory; None for
        other backends.
    python_user_s, python_system_s: CPU seconds of the Python process within python_s, all its threads.
    num_samples: rows handed to the task. num_trained: rows x epochs that went through training calls.
    num_epochs: training calls over the whole partition. python_peak_bytes: peak resident memory of the
        Python process so far. pid: of the Python process.
    None: not measured (all of Python's figures, where a task failed or ran no Python of ours).
    """

    stage: int
    stage_attempt: int
    partition: int
    attempt: int
    task_id: int
    purpose: str
    executor: str
    host: str
    status: str
    launched_s: float
    finished_s: float
    run_s: Optional[float] = None
    deserialize_s: Optional[float] = None
    serialize_s: Optional[float] = None
    getting_result_s: Optional[float] = None
    scheduler_delay_s: Optional[float] = None
    gc_s: Optional[float] = None
    jvm_cpu_s: Optional[float] = None
    result_bytes: Optional[int] = None
    shuffle_read_bytes: Optional[int] = None
    shuffle_wait_s: Optional[float] = None
    shuffle_write_bytes: Optional[int] = None
    shuffle_write_s: Optional[float] = None
    worker_start_s: Optional[float] = None
    process_s: Optional[float] = None
    python_s: Optional[float] = None
    import_s: Optional[float] = None
    data_s: Optional[float] = None
    build_s: Optional[float] = None
    train_s: Optional[float] = None
    exchange_s: Optional[float] = None
    lock_s: Optional[float] = None
    python_user_s: Optional[float] = None
    python_system_s: Optional[float] = None
    num_samples: Optional[int] = None
    num_trained: Optional[int] = None
    num_epochs: Optional[int] = None
    python_peak_bytes: Optional[int] = None
    pid: Optional[int] = None


@dataclass(frozen=True)
class ExecutorRecord:
    """One executor of the run, or the driver (``driver``).

    added_s, removed_s: since the application was launched; removed_s is None if it lasted to the end.
    removed_reason: Spark's words. jvm_peak_bytes, python_peak_bytes: peak resident memory of its JVM and of
    all its Python processes together, as Spark polled them; None where it saw none.
    """

    executor: str
    host: str
    num_cores: int
    added_s: float
    removed_s: Optional[float] = None
    removed_reason: str = ""
    jvm_peak_bytes: Optional[int] = None
    python_peak_bytes: Optional[int] = None


@dataclass(frozen=True)
class SamplesAccounted:
    """What became of the samples that a distributed run should have trained: images x epochs.

    num_asked: images x epochs of the study. num_trained: rows x epochs that successful training tasks
    trained. num_partitions: shards. num_skipped_partitions: shards from which nothing was trained (no larger
    than a batch); num_skipped: rows x epochs lost in them. num_empty_partitions: shards without a row.
    smallest_partition, largest_partition: rows.
    """

    num_asked: int
    num_trained: int
    num_partitions: int
    num_skipped_partitions: int
    num_skipped: int
    num_empty_partitions: int
    smallest_partition: int
    largest_partition: int


@dataclass(frozen=True)
class EnergyUsed:
    """Joules used while training, all epochs together; of the whole machine, not of this process alone.

    packages_j: the processors and, where it is counted apart, their memory (Linux powercap: RAPL).
    device_j: the GPU's board (NVML). None: not readable here. Read just outside the clocks of each epoch.
    """

    packages_j: Optional[float]
    device_j: Optional[float]


@dataclass(frozen=True)
class TurnsTaken:
    """The run took turns with others: how many contestants its block began with, and how often it trained."""

    num_contestants: int
    num_turns: int


@dataclass(frozen=True)
class FarmJob:
    """The job of a resource manager that ran a block, as it was when it was over; with each of its runs.

    manager, job_id, node: who ran it, and where. node_id: the node's machine_id: equal for nodes on which a
    program runs alike. is_exclusive: whether nobody else could use the node; None if unknown. state: the
    manager's last word, as `bakeoff.farm.managers.State` spells it. num_restarts: times it was begun anew.
    Phases, one after the other, in seconds: submission_s (until the manager had it), queue_s (by the
    manager's clock), prolog_s (from the allocation until the first line of the script: whole seconds, as
    managers keep them), startup_s (lines to run first, our interpreter), staging_s (environment and data onto
    the node), runs_s (all contestants), collection_s (from the end of the job until its runs are stored).
    manager_s: what the manager says that the job took; manager_cpu_s, manager_peak_bytes: likewise user and
    system time and peak memory; cpu_s: CPU seconds by our own account. accounting: which of the manager's
    programs said so. clock_offset_s: how far the node's clock is ahead of the others, at least; 0 if
    that can't be told. None: unknown.
    """

    manager: str
    job_id: str
    node: str
    node_id: str
    is_exclusive: Optional[bool]
    state: str
    num_restarts: int
    submission_s: Optional[float] = None
    queue_s: Optional[float] = None
    prolog_s: Optional[float] = None
    startup_s: Optional[float] = None
    staging_s: Optional[float] = None
    runs_s: Optional[float] = None
    collection_s: Optional[float] = None
    manager_s: Optional[float] = None
    manager_cpu_s: Optional[float] = None
    manager_peak_bytes: Optional[int] = None
    cpu_s: Optional[float] = None
    accounting: str = ""
    clock_offset_s: float = 0.0


@dataclass(frozen=True)
class RunWarning:
    """Something a reader of the result should know; ``remedy`` says what to do about it."""

    message: str
    remedy: str = ""


STATUSES = ("ok", "failed", "skipped", "timeout", "out_of_memory", "killed", "interrupted", "garbage")


@dataclass(frozen=True)
class RunEnded:
    """How a run ended. Anything but ``ok`` has a reason and the last lines of its output.

    status: one of `STATUSES`: ``skipped`` means that the backend declined, saying why;
    ``interrupted`` that the user or the machine stopped Bakeoff itself.
    """

    status: str
    reason: str = ""
    last_lines: str = ""


Record = Union[
    RunStarted,
    Facts,
    ModelRead,
    RunInputs,
    PhaseEnded,
    EpochRecord,
    Outcomes,
    FirstCall,
    ProfiledEpoch,
    LayerDescribed,
    VariantTimed,
    ProfiledSteps,
    Ceilings,
    NotShown,
    StageProgress,
    TaskRecord,
    ExecutorRecord,
    SamplesAccounted,
    EnergyUsed,
    TurnsTaken,
    FarmJob,
    RunWarning,
    RunEnded,
]

KINDS: Dict[str, Type[Any]] = {
    "run_started": RunStarted,
    "facts": Facts,
    "model_read": ModelRead,
    "inputs": RunInputs,
    "phase": PhaseEnded,
    "epoch": EpochRecord,
    "outcomes": Outcomes,
    "first_call": FirstCall,
    "profiled_epoch": ProfiledEpoch,
    "layer": LayerDescribed,
    "variant": VariantTimed,
    "profiled_steps": ProfiledSteps,
    "ceilings": Ceilings,
    "not_shown": NotShown,
    "stage_progress": StageProgress,
    "task": TaskRecord,
    "executor": ExecutorRecord,
    "samples": SamplesAccounted,
    "energy": EnergyUsed,
    "turns": TurnsTaken,
    "farm_job": FarmJob,
    "warning": RunWarning,
    "run_ended": RunEnded,
}
_NAMES = {cls: name for name, cls in KINDS.items()}


def kind_of(record: Record) -> str:
    """The record's name on the wire."""
    return _NAMES[type(record)]


def to_line(record: Record) -> str:
    """One line of JSON, without the newline; NaN and infinities become their names as strings."""
    body = {"kind": kind_of(record)}
    body.update(dataclasses.asdict(record))
    return json.dumps(_finite(body), allow_nan=False, separators=(",", ":"))


def from_line(line: str) -> Record:
    """The record on a line.

    Raises:
        ValueError: the line is no record of this format; says what it was.
    """
    try:
        body = json.loads(line)
        cls = KINDS[body.pop("kind")]
        floats = {f.name for f in dataclasses.fields(cls) if f.type in (float, Optional[float])}
        body = {
            key: float(value) if key in floats and isinstance(value, str) else value
            for key, value in body.items()
        }
        return cls(**body)  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a record: {!r} ({})".format(line[:200], error)) from error


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


def _finite(value: Any) -> Any:
    """Replace the floats that JSON has no word for."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
