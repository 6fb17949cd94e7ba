"""Keras 2.3 on TensorFlow 1.15, the study's own stack."""

import os
from typing import Any, List, Mapping, Optional

from bakeoff_worker.backends.keras_model import Keras2, require_gpu
from bakeoff_worker.backends.vintage import VINTAGE


class Backend(Keras2):
    """TensorFlow 1: a static graph in a session."""

    keras_backend = "tensorflow"

    def skip_reason(self) -> Optional[str]:
        """TensorFlow's CPU kernels convolve channels-last only; XLA is not reachable through Keras 2.3."""
        if self.settings.jit is True:
            return "Keras 2.3 offers no switch for XLA"
        if self.settings.device == "gpu" and self.settings.environment == VINTAGE.name:
            return (
                "the TensorFlow 1.15 of environment vintage needs CUDA 10.0 and cuDNN 7, which the package "
                "index does not have"
            )
        if self.settings.data_layout == "channels_first" and self.settings.device == "cpu":
            return "TensorFlow has no channels-first convolution on the CPU"
        return super().skip_reason()

    def _before_import(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if self.settings.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        if self.settings.deterministic:
            os.environ["TF_DETERMINISTIC_OPS"] = "1"

    def _after_import(self) -> None:
        import tensorflow

        self.tensorflow = tensorflow.compat.v1
        if self.settings.device == "gpu":
            require_gpu(self.tensorflow.test.is_gpu_available(), "TensorFlow 1")
        threads = self.settings.threads or 0  # 0: TensorFlow's own choice
        self.session = self.tensorflow.Session(
            config=self.tensorflow.ConfigProto(
                intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
            )
        )
        self.keras.backend.tensorflow_backend.set_session(self.session)
        super()._after_import()

    def _seed(self, seed: int) -> None:
        import numpy

        numpy.random.seed(seed)
        self.tensorflow.set_random_seed(seed)

    def warnings(self) -> List[str]:
        """With the optimizers whose step counter Keras reads and raises in no defined order."""
        if self.settings.optimizer.lower() not in ("adam", "adamax", "nadam"):
            return super().warnings()
        return super().warnings() + [
            "Keras 2.3's {} on TensorFlow 1 reads its step counter before or after raising it, as it "
            "happens: its first steps may be scaled as if they were one step later".format(
                self.settings.optimizer
            )
        ]

    def observed(self) -> Mapping[str, Any]:
        """With thread settings (0 means TensorFlow's own choice) and devices."""
        return dict(
            super().observed(),
            jit=False,
            execution="graph",
            threads=self.settings.threads or 0,
            blas="Eigen, built in",
            deterministic=self.settings.deterministic,
            devices=[device.name for device in self.session.list_devices()],
        )
