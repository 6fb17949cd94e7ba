"""The images that contestants are compared on: the run's own first ones, as they are and with noise."""

from typing import Any, Tuple

import numpy as np

from bakeoff_worker.data import Source
from bakeoff_worker.job import TrialSettings

NUM_STEPS = 10
NUM_COMMON = 3  # batches whose gradients are taken at the weights of the start, which contestants share
# Two points at which contestants are compared.
#   general     images with a little noise, weights shaken: no two pixels tie in a max-pooling window, no
#               activation sits on its kink. What differs here is computed differently.
#   as_trained  the run's own images and initial weights, ties and all. What differs here only is a choice
#               where the derivative doesn't exist.
SCENES = ("general", "as_trained")


class Batches:
    """`NUM_STEPS` batches of one scene; all full but the last.

    The batch is the run's ``global_batch_size``, which Bakeoff sets to a few images; the last one is
    smaller, since whether it is trained on is one of the things that contestants may differ in.
    """

    def __init__(self, source: Source, settings: TrialSettings, scene: str) -> None:
        size = settings.global_batch_size
        last = max(1, (5 * size) // 8)
        self._borders = [size * step for step in range(NUM_STEPS)] + [size * (NUM_STEPS - 1) + last]
        rows = np.resize(source.order, self._borders[-1])
        self._x, self._y = source.prepare(source.x_train[rows], source.y_train[rows])
        self._channels_first = settings.data_layout == "channels_first"
        if scene == "general":
            images = noisy(self.common(self._x))
            self._x = np.ascontiguousarray(images.transpose(0, 3, 1, 2) if self._channels_first else images)

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """Shape of one image as the model takes it."""
        return tuple(self._x.shape[1:])

    def x(self, step: int) -> Any:
        """Images of one batch as the model takes them."""
        return self._x[self._borders[step] : self._borders[step + 1]]

    def y(self, step: int) -> Any:
        """Labels of one batch as the loss takes them."""
        return self._y[self._borders[step] : self._borders[step + 1]]

    def whole(self) -> Tuple[Any, Any]:
        """All images and labels, in order: one epoch."""
        return self._x, self._y

    def common(self, x: Any) -> Any:
        """Images (N, H, W, C), whatever the layout."""
        return x.transpose(0, 2, 3, 1) if self._channels_first else x


def noisy(images: Any) -> Any:
    """The images with a little noise, the same for the same shape: no two are equal, no two pixels tie."""
    noise = np.random.RandomState(15485863).normal(size=images.shape).clip(-3, 3)
    # Rounded: the last bits of a sum differ between versions of NumPy.
    noise *= 0.1 * (float("%.3g" % images.std(dtype="float64")) or 1.0)
    # float32 values in any precision: contestants of several then see the very same images.
    return (images + noise).astype("float32").astype(images.dtype)
