"""The contract of a contestant. Each backend's folder has a class `Backend` of this form in its `backend.py`.

The loop calls the methods in the order in which they stand here, and only the loop reads clocks.
"""

from typing import Any, List, Mapping, Optional, Tuple

from bakeoff_worker.job import RunPaths, TrialSettings


class BackendBase:
    """One framework in one process. `settings` and `paths` are those of the run.

    Set before `build`: rates: learning rate at each step of the run, (num_steps,); None where it is constant.
    class_weights: factor on the loss of each class's images, (num_classes,); None: all alike.
    Set by `build`: num_outputs: numbers that the model gives for an image; None: one for each class.
    """

    rates: Any = None
    class_weights: Optional[List[float]] = None
    num_outputs: Optional[int] = None

    def __init__(self, settings: TrialSettings, paths: RunPaths) -> None:
        self.settings = settings
        self.paths = paths

    def skip_reason(self) -> Optional[str]:
        """Why this backend can't run these settings, in words for the report; None if it can.

        Asked before `start` (nothing is imported yet).
        """
        return None if self.settings.autotune_input else "only TensorFlow's input pipeline tunes itself"

    def start(self) -> None:
        """Set the process up for the settings and import the framework.

        Raises:
            Skip: the framework, once imported, shows that it can't run these settings.
        """
        raise NotImplementedError

    def build(self, build_model: Any, input_shape: Tuple[int, ...], num_classes: int, seed: int) -> None:
        """Make the model, ready to train from the initial weights that belong to `seed`."""
        raise NotImplementedError

    def check_outputs(self, x: Any) -> None:
        """Pass if the model gives probabilities for `x`. Asked of the user's models, once, before any run.

        Raises:
            ModelError: it doesn't.
        """

    def first_step(self, x: Any, y: Any) -> None:
        """Train on a few images, with whatever is compiled for it, then put weights and optimizer back.

        The loop evaluates on a few images next, in the same phase; both show every batch shape of an epoch.
        """
        raise NotImplementedError

    def train_epoch(self, x: Any, y: Any) -> Tuple[float, float]:
        """Train on all of `x`, `y` in the order given: an epoch, or a turn's part of it.

        Returns mean loss and accuracy over these images.
        """
        raise NotImplementedError

    def evaluate(self, x: Any, y: Any) -> Tuple[float, float]:
        """Loss and accuracy on `x`, `y`, nothing trained."""
        raise NotImplementedError

    def wrong(self, x: Any, y: Any) -> Any:
        """Whether each of the images `x` is misclassified: booleans (num_images,).

        Asked once, after the last epoch, while no clock runs; as many as the last `evaluate` counted.
        """
        raise NotImplementedError

    def synchronize(self) -> None:
        """Return when all work handed to the device is done."""

    def resolved(self) -> Mapping[str, Any]:
        """What the backend made of the settings (flags set, defaults taken)."""
        return {}

    def observed(self) -> Mapping[str, Any]:
        """What was seen to run, read back from the framework after the first step."""
        return {}

    def warnings(self) -> List[str]:
        """Things a reader of the result should know, one sentence each."""
        return []

    def device_peak_memory_bytes(self) -> Optional[int]:
        """Peak device memory so far; None on a CPU."""
        return None


class Inspectable(BackendBase):
    """A contestant without Keras that shows its weights, so that it can be certified to train the same thing.

    Weights have Keras's forms and order: layer by layer, kernels (height, width, in, out) and (in, out), then
    biases; moving statistics after those that are trained.
    """

    def first_step(self, x: Any, y: Any) -> None:
        """A few images trained on, then undone."""
        before = self.weights()
        self.train_epoch(x, y)
        self.synchronize()
        self.restart(before)

    def silence(self) -> None:
        """Train without dropout and augmentation. Called before `build`, where contestants are compared."""
        raise NotImplementedError

    def weights(self) -> Mapping[str, Any]:
        """Copies of all weights by name, moving statistics included, in the order of the network."""
        raise NotImplementedError

    def restart(self, weights: Mapping[str, Any]) -> None:
        """Load these weights, and forget all else that training has left, such as the optimizer's means."""
        raise NotImplementedError


class ContestantError(Exception):
    """A contestant of the user's own breaks the contract: what was got, what was expected, how to mend it."""


class Skip(Exception):
    """The backend declines these settings; the message says why."""
