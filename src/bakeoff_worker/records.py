"""What a run reports, from the worker to Bakeoff. What is asked of it is in `job`.

Everything here is a frozen dataclass that survives JSON unchanged. A run's records are JSON lines,
one record a line, ``{"kind": "epoch", ...}``, in the order in which things happened. The module
speaks Python 3.7 and imports the standard library alone, since both sides read it.

Units are suffixes (``_s`` seconds, ``_bytes``). Fields that a platform cannot measure are None,
never zero.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Type, Union


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


def _finite(value: Any) -> Any:
    """Replace the floats that JSON has no word for."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
