"""Softmax regression in NumPy, by plain gradient descent, with a neighbour that it imports: a contestant."""

import numpy as np
from rate import RATE

from bakeoff_worker import weights
from bakeoff_worker.backends.base import Inspectable


class Backend(Inspectable):
    def start(self):
        """NumPy is there already."""

    def silence(self):
        """Nothing is drawn."""

    def build(self, build_model, input_shape, num_classes, seed):
        shapes = {"kernel": (int(np.prod(input_shape)), num_classes), "bias": (num_classes,)}
        self.restart(weights.initial(shapes, seed))

    def restart(self, weights):
        self.kernel, self.bias = (np.array(one) for one in weights.values())

    def weights(self):
        return {"kernel": self.kernel.copy(), "bias": self.bias.copy()}

    def likely(self, x):
        scores = x.reshape(len(x), -1) @ self.kernel + self.bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def train_epoch(self, x, y):
        size = self.settings.global_batch_size
        for at in range(0, len(x), size):
            images, labels = x[at : at + size], y[at : at + size]
            slope = (self.likely(images) - labels) / len(images)
            self.kernel -= RATE * images.reshape(len(images), -1).T @ slope
            self.bias -= RATE * slope.sum(axis=0)
        return self.evaluate(x, y)

    def evaluate(self, x, y):
        loss = -np.log(np.maximum((self.likely(x) * y).sum(axis=1), 1e-9)).mean()
        return float(loss), float(1 - self.wrong(x, y).mean())

    def wrong(self, x, y):
        return self.likely(x).argmax(axis=1) != y.argmax(axis=1)
