"""TensorFlow without Keras: an epoch is one call of one graph."""

import os
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from bakeoff_worker.backends.plain import PlainBackend, rule


class Backend(PlainBackend):
    """A `tf.function` loops over the batches."""

    def skip_reason(self) -> Optional[str]:
        """It runs as a graph, without XLA."""
        if self.settings.jit:
            return "plain_tensorflow runs without XLA"
        return super().skip_reason()

    def start(self) -> None:
        """Import TensorFlow for the CPU and set its threads."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        import tensorflow

        self.tf = tensorflow
        if self.settings.threads is not None:
            tensorflow.config.threading.set_intra_op_parallelism_threads(self.settings.threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(self.settings.threads)

    def prepare(self) -> None:
        """Variables, and graphs of an epoch and of an evaluation that take any number of images."""
        tf, size = self.tf, self.settings.global_batch_size
        num_slots, update = rule(self.settings, tf.sqrt)
        self.held = [tf.Variable(tf.zeros(shape)) for shape in self.shapes.values()]
        self.slots = [[tf.Variable(tf.zeros(one.shape)) for _ in range(num_slots)] for one in self.held]
        self.number = tf.Variable(0.0)

        def step(images: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                loss, right = self._loss(images, labels, self.drops_out)
            gradients = tape.gradient(loss, self.held)
            number = self.number.assign_add(1.0)
            for held, gradient, slots in zip(self.held, gradients, self.slots):
                moved, after = update(held, gradient, tuple(slots), number)
                held.assign(moved)
                for slot, value in zip(slots, after):
                    slot.assign(value)
            return tf.stack([loss * tf.cast(tf.shape(images)[0], "float32"), right])

        def measure(images: Any, labels: Any) -> Any:
            loss, right = self._loss(images, labels, drops_out=False)
            return tf.stack([loss * tf.cast(tf.shape(images)[0], "float32"), right])

        def summed(of_batch: Any) -> Any:
            def over(x: Any, y: Any) -> Any:
                return tf.while_loop(
                    lambda first, _: first < tf.shape(x)[0],
                    lambda first, sums: (
                        first + size,
                        sums + of_batch(x[first : first + size], y[first : first + size]),
                    ),
                    (0, tf.zeros(2)),
                    parallel_iterations=1,
                )[1]

            return over

        forms = [
            tf.TensorSpec((None, None, None, self.held[0].shape[2])),
            tf.TensorSpec((None, self.held[-1].shape[0])),
        ]
        self.train = tf.function(summed(step), input_signature=forms)
        self.measure = tf.function(summed(measure), input_signature=forms)
        self.logits = tf.function(lambda x: self._logits(x, drops_out=False), input_signature=forms[:1])

    def weights(self) -> Dict[str, Any]:
        """Copies."""
        return {name: np.array(one.numpy()) for name, one in zip(self.shapes, self.held)}

    def restart(self, weights: Mapping[str, Any]) -> None:
        """Into the variables."""
        self.tf.random.set_seed(self.seed)
        for name, one, slots in zip(self.shapes, self.held, self.slots):
            one.assign(weights[name])
            for slot in slots:
                slot.assign(self.tf.zeros(one.shape))
        self.number.assign(0.0)

    def train_epoch(self, x: Any, y: Any) -> Tuple[float, float]:
        """One call."""
        loss, right = self.train(x, y).numpy() / len(x)
        return float(loss), float(right)

    def evaluate(self, x: Any, y: Any) -> Tuple[float, float]:
        """One call, in batches of the training's size."""
        loss, right = self.measure(x, y).numpy() / len(x)
        return float(loss), float(right)

    def wrong(self, x: Any, y: Any) -> Any:
        """By the largest output."""
        found = [self.logits(images).numpy() for images, _ in self.batches(x, y)]
        return np.concatenate(found).argmax(axis=1) != y.argmax(axis=1)

    def observed(self) -> Mapping[str, Any]:
        """With thread settings (0 means TensorFlow's own choice: every CPU)."""
        threading = self.tf.config.threading
        return dict(
            super().observed(),
            execution="graph",
            jit=False,
            blas="Eigen and oneDNN, built in",
            threads=threading.get_intra_op_parallelism_threads(),
            inter_op_threads=threading.get_inter_op_parallelism_threads(),
        )

    def _loss(self, images: Any, labels: Any, drops_out: bool) -> Tuple[Any, Any]:
        """Mean cross-entropy of a batch, and how many images are right, as floats."""
        tf = self.tf
        logits = self._logits(images, drops_out)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        right = tf.equal(tf.argmax(logits, axis=1), tf.argmax(labels, axis=1))
        return loss, tf.reduce_sum(tf.cast(right, "float32"))

    def _logits(self, images: Any, drops_out: bool) -> Any:
        tf, options = self.tf, self.options
        x, rest = images, list(self.held)
        for _ in options["filters"]:
            kernel, bias, *rest = rest
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias))
            x = tf.nn.max_pool2d(x, options["pool_size"], options["pool_size"], "VALID")
        if drops_out and options["dropout"]:
            x = tf.nn.dropout(x, options["dropout"])
        x = tf.reshape(x, (-1, rest[0].shape[0]))
        while len(rest) > 2:
            kernel, bias, *rest = rest
            x = tf.nn.relu(tf.matmul(x, kernel) + bias)
        return tf.matmul(x, rest[0]) + rest[1]
