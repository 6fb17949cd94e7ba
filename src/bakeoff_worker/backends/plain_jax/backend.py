"""JAX without Keras: one jitted step, called batch by batch.

A scan over an epoch's batches would be one call, but XLA's convolutions within loops are slow on a CPU.
"""

import os
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from bakeoff_worker import probe
from bakeoff_worker.backends.plain import PlainBackend, rule


class Backend(PlainBackend):
    """Every step jitted, dispatched asynchronously, waited for at epoch borders."""

    def skip_reason(self) -> Optional[str]:
        """It compiles."""
        if self.settings.jit is False:
            return "plain_jax always compiles"
        return super().skip_reason()

    def start(self) -> None:
        """Import JAX for the CPU."""
        os.environ["JAX_PLATFORMS"] = "cpu"
        if self.settings.threads is not None:
            os.environ["NPROC"] = str(self.settings.threads)
        import jax

        self.jax, self.np = jax, jax.numpy

    def prepare(self) -> None:
        """One step of training, and the logits of a batch."""
        jax = self.jax
        self.num_slots, update = rule(self.settings, self.np.sqrt)
        slope = jax.value_and_grad(self._loss, has_aux=True)
        drops_out = self.drops_out

        def step(state: Any, images: Any, labels: Any) -> Any:
            held, slots, number, key, sums = state
            key, drawn = jax.random.split(key)
            (loss, right), gradients = slope(held, images, labels, drawn if drops_out else None)
            number = number + 1
            moved = [update(*one, number) for one in zip(held, gradients, slots)]
            sums = sums + self.np.stack([loss * len(images), right])
            return [one for one, _ in moved], [one for _, one in moved], number, key, sums

        self.step = jax.jit(step, donate_argnums=0)
        self.measure = jax.jit(lambda held, images, labels: self._loss(held, images, labels, None))
        self.logits = jax.jit(lambda held, images: self._logits(held, images, None))

    def weights(self) -> Dict[str, Any]:
        """Copies."""
        return {name: np.array(one) for name, one in zip(self.shapes, self.state[0])}

    def restart(self, weights: Mapping[str, Any]) -> None:
        """As new arrays."""
        held = [self.np.array(weights[name]) for name in self.shapes]
        slots = [tuple(self.np.zeros_like(one) for _ in range(self.num_slots)) for one in held]
        key = self.jax.random.key(self.seed % 2**32)
        self.state = held, slots, self.np.zeros(()), key, self.np.zeros(2)

    def train_epoch(self, x: Any, y: Any) -> Tuple[float, float]:
        """Batch by batch."""
        state = (*self.state[:4], self.np.zeros(2))
        for images, labels in self.batches(x, y):
            state = self.step(state, images, labels)
        self.state = state
        loss, right = np.asarray(state[4]) / len(x)
        return float(loss), float(right)

    def evaluate(self, x: Any, y: Any) -> Tuple[float, float]:
        """In batches of the training's size."""
        held = self.state[0]
        found = [(len(images), self.measure(held, images, labels)) for images, labels in self.batches(x, y)]
        loss_sum = sum(num * float(loss) for num, (loss, _) in found)
        return loss_sum / len(x), sum(float(right) for _, (_, right) in found) / len(x)

    def wrong(self, x: Any, y: Any) -> Any:
        """By the largest output."""
        found = [np.asarray(self.logits(self.state[0], images)) for images, _ in self.batches(x, y)]
        return np.concatenate(found).argmax(axis=1) != y.argmax(axis=1)

    def synchronize(self) -> None:
        """Wait for all that training writes."""
        self.jax.block_until_ready(self.state)

    def observed(self) -> Mapping[str, Any]:
        """With the size of XLA's pool."""
        return dict(
            super().observed(),
            execution="XLA",
            jit=True,
            blas="Eigen and oneDNN, built in",
            threads=probe.count_threads("tf_XLAEigen"),
        )

    def _loss(self, held: Any, images: Any, labels: Any, key: Any) -> Tuple[Any, Any]:
        """Mean cross-entropy of a batch, and how many images are right."""
        logits = self._logits(held, images, key)
        loss = -(labels * self.jax.nn.log_softmax(logits)).sum(axis=1).mean()
        return loss, (logits.argmax(axis=1) == labels.argmax(axis=1)).sum()

    def _logits(self, held: Any, images: Any, key: Any) -> Any:
        """key: of dropout; None for none."""
        jax, options = self.jax, self.options
        x, rest = images, list(held)
        for _ in options["filters"]:
            kernel, bias, *rest = rest
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = self._pooled(jax.nn.relu(x + bias), options["pool_size"])
        if key is not None and options["dropout"]:
            kept = jax.random.bernoulli(key, 1 - options["dropout"], x.shape)
            x = self.np.where(kept, x / (1 - options["dropout"]), 0.0)
        x = x.reshape(len(x), -1)
        while len(rest) > 2:
            kernel, bias, *rest = rest
            x = jax.nn.relu(x @ kernel + bias)
        return x @ rest[0] + rest[1]

    def _pooled(self, x: Any, size: int) -> Any:
        """Maximum of each window, as a reshape: XLA's own window is slow to differentiate on a CPU."""
        num, height, width, channels = x.shape
        height, width = height // size, width // size
        x = x[:, : height * size, : width * size].reshape(num, height, size, width, size, channels)
        return x.max(axis=(2, 4))
