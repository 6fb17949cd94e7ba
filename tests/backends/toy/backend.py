"""Softmax regression in NumPy, by plain gradient descent: it trains, and compiles nothing."""

import numpy as np

from bakeoff_worker import weights
from bakeoff_worker.backends.base import BackendBase


class Backend(BackendBase):
    """Knows no networks: the model of the settings is not looked at."""

    def skip_reason(self):
        """It has one precision."""
        return None if self.settings.precision == "float32" else "the toy has no such precision"

    def start(self):
        """NumPy is there already."""

    def build(self, build_model, input_shape, num_classes, seed):
        """One dense layer, drawn as everybody's weights are."""
        self.kernel = weights.draw("GlorotUniform", {}, (int(np.prod(input_shape)), num_classes), seed, 0)

    def first_step(self, x, y):
        """Nothing is compiled."""

    def train_epoch(self, x, y):
        """Batch by batch."""
        size = self.settings.global_batch_size
        for first in range(0, len(x), size):
            images = x[first : first + size].reshape(-1, len(self.kernel))
            slope = images.T @ (self._probabilities(images) - y[first : first + size]) / len(images)
            self.kernel -= self.settings.learning_rate * slope
        return self.evaluate(x, y)

    def evaluate(self, x, y):
        """Cross-entropy and accuracy."""
        likely = self._probabilities(x.reshape(len(x), -1))
        loss = -np.log(np.maximum((likely * y).sum(axis=1), 1e-9)).mean()
        return float(loss), float(1 - self.wrong(x, y).mean())

    def wrong(self, x, y):
        """By the likeliest class."""
        likely = self._probabilities(x.reshape(len(x), -1))
        return likely.argmax(axis=1) != y.argmax(axis=1)

    def observed(self):
        """What every backend reports."""
        return {"initial_weights_sha256": weights.sha256([self.kernel]), "num_parameters": self.kernel.size}

    def _probabilities(self, images):
        scores = images @ self.kernel
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
