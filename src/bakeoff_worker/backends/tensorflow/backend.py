"""Keras 3 on TensorFlow 2."""

import os
from typing import Any, List, Mapping, Optional

from bakeoff_worker.backends.keras_model import Keras3, require_gpu


class Backend(Keras3):
    """TensorFlow as its users get it: `fit` in graph mode, XLA only where Keras or the study says so."""

    keras_backend = "tensorflow"
    input_options: Any = None

    def skip_reason(self) -> Optional[str]:
        """TensorFlow's CPU kernels convolve channels-last only; XLA and determinism exclude each other."""
        if self.settings.data_layout == "channels_first" and self.settings.device == "cpu":
            return "TensorFlow has no channels-first convolution on the CPU"
        if self.settings.jit and self.settings.deterministic:
            return "TensorFlow has no XLA while deterministic kernels are asked for"
        return None

    def _before_import(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if self.settings.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

    def _after_import(self) -> None:
        import tensorflow

        self.tensorflow = tensorflow
        if self.settings.device == "gpu":
            require_gpu(bool(tensorflow.config.list_physical_devices("GPU")), "TensorFlow")
        if self.settings.tf32 is not None:
            tensorflow.config.experimental.enable_tensor_float_32_execution(self.settings.tf32)
        if self.settings.threads is not None:
            tensorflow.config.threading.set_intra_op_parallelism_threads(self.settings.threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(self.settings.threads)
        if self.settings.deterministic:
            tensorflow.config.experimental.enable_op_determinism()
        super()._after_import()

    def _loss(self) -> Any:
        """Binary cross-entropy of the probabilities, as the other backends take it.

        Left alone, Keras 3 on TensorFlow finds the logits behind the last layer and takes their sigmoid,
        also where the layer is a softmax: another loss than on JAX, PyTorch and Keras 2.
        """
        return binary_crossentropy if self._hides_logits() else super()._loss()

    def _hides_logits(self) -> bool:
        return self.settings.loss == "binary_crossentropy" and not self.from_logits

    def warnings(self) -> List[str]:
        """Where the loss is not the one that Keras would have taken."""
        if not self._hides_logits():
            return super().warnings()
        return [
            *super().warnings(),
            "binary_crossentropy is given the probabilities, as on the other backends: by itself Keras 3 on "
            "TensorFlow takes the sigmoid of the logits, also behind a softmax",
        ]

    def _fit(self, x: Any, y: Any) -> Any:
        """Without the tuner as Keras feeds arrays: batches cut out of them, one ready ahead."""
        if self.settings.autotune_input:
            return super()._fit(x, y)
        size, data = self.settings.global_batch_size, self.tensorflow.data
        self.input_options = data.Options()
        self.input_options.autotune.enabled = False
        images, labels = self.tensorflow.constant(x), self.tensorflow.constant(y)
        batches = data.Dataset.range(-(-len(x) // size)).map(
            lambda batch: (
                images[batch * size : (batch + 1) * size],
                labels[batch * size : (batch + 1) * size],
            )
        )
        batches = batches.prefetch(1).with_options(self.input_options)
        return self.model.fit(batches, epochs=1, shuffle=False, verbose=0, **self.fit_options())

    def synchronize(self) -> None:
        """Wait for the device's stream; on the CPU `fit` has already fetched its results."""
        if self.settings.device == "gpu":
            self.tensorflow.test.experimental.sync_devices()

    def observed(self) -> Mapping[str, Any]:
        """With thread settings (0 means TensorFlow's own choice: every CPU), kernels and devices."""
        from tensorflow.python.framework import config as context  # the public API can only switch it on

        threading = self.tensorflow.config.threading
        return dict(
            super().observed(),
            execution="XLA" if self.model.jit_compile else "graph",
            threads=threading.get_intra_op_parallelism_threads(),
            inter_op_threads=threading.get_inter_op_parallelism_threads(),
            blas="Eigen and oneDNN, built in",
            autotune_input=self.input_options is None or bool(self.input_options.autotune.enabled),
            onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
            deterministic=bool(context.is_op_determinism_enabled()),
            devices=[device.name for device in self.tensorflow.config.list_logical_devices()],
        )

    def device_peak_memory_bytes(self) -> Optional[int]:
        """Peak of TensorFlow's own allocator on the first GPU."""
        if self.settings.device != "gpu":
            return None
        return int(self.tensorflow.config.experimental.get_memory_info("GPU:0")["peak"])


def binary_crossentropy(y_true: Any, y_pred: Any) -> Any:
    """Of probabilities that Keras can't look behind. Importable by executors."""
    import keras
    import tensorflow

    return keras.losses.binary_crossentropy(y_true, tensorflow.identity(y_pred))
