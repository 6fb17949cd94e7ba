"""Keras 2.3 on Theano 1.0.5, its files untouched."""

import glob
import os
from typing import Any, List, Mapping, Optional

from bakeoff_worker import probe
from bakeoff_worker.backends.keras_model import Keras2
from bakeoff_worker.backends.keras_weights import inner_layers, leaves
from bakeoff_worker.backends.theano import compat, losses


class Backend(Keras2):
    """Theano: a static graph, compiled through C++ into a directory that outlives the run."""

    keras_backend = "theano"

    def skip_reason(self) -> Optional[str]:
        """Theano always compiles, and its GPU library (libgpuarray) is no longer to be had."""
        if self.settings.jit is False:
            return "Theano always compiles its graph: there is nothing to switch off"
        if self.settings.device == "gpu":
            return (
                "Theano's GPU library (libgpuarray) does not build against any CUDA that is still distributed"
            )
        return super().skip_reason()

    def _before_import(self) -> None:
        own_flags = os.environ.get("THEANO_FLAGS", "")
        own = dict(flag.split("=", 1) for flag in own_flags.split(",") if "=" in flag)
        ours = os.path.join(self.paths.scratch, "theano")
        self.compile_directory = os.path.expanduser(own.get("base_compiledir", ours))
        self.compile_cache = (
            "warm" if glob.glob(os.path.join(self.compile_directory, "*", "tmp*")) else "cold"
        )
        flags = [
            "floatX=" + self.settings.precision,
            "device=cpu",
            "openmp=True",
            "base_compiledir=" + ours,
        ]
        self.blas_library = os.environ.get("BAKEOFF_BLAS_LIBRARY")
        if self.blas_library:
            # Without a real BLAS Theano's own fallback aborts in training.
            folder, name = os.path.split(self.blas_library)
            flags.append("blas.ldflags=-L{} -l:{}".format(folder, name))
        if self.settings.deterministic:
            flags.append("deterministic=more")
        os.environ["THEANO_FLAGS"] = ",".join(filter(None, (*flags, own_flags)))
        compat.install()
        import theano

        self.theano = theano
        # Read by now. A cluster's executors inherit what stands there, and would take our folder for theirs.
        os.environ["THEANO_FLAGS"] = own_flags

    def _loss(self) -> Any:
        """Of logits, without Keras 2's way through clipped probabilities: the same as on other backends."""
        loss = super()._loss()
        if self.from_logits:
            loss.call = losses.of_logits(self.settings.loss, self.settings.label_smoothing)
        return loss

    def _seed(self, seed: int) -> None:
        # Keras 2's Theano backend seeds its dropout from NumPy's global generator.
        import numpy

        numpy.random.seed(seed)

    def _own_form(self, layer: Any, name: str, array: Any) -> Any:
        """Convolution kernels turned by 180 degrees, since Theano convolves where others correlate.

        Keras 2 turns depthwise kernels itself, but leaves the others as they are.
        """
        layers = self.keras.layers
        flipped = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
        if name != "kernel" or not isinstance(layer, flipped) or isinstance(layer, layers.DepthwiseConv2D):
            return array
        return self.keras.utils.conv_utils.convert_kernel(array)

    def warnings(self) -> List[str]:
        """With the layers that Keras aligns otherwise on Theano than elsewhere, and slow recurrent ones."""
        shifted = [
            "/".join(filter(None, (outer.name, path)))
            for outer in leaves(self.model)
            for path, layer in inner_layers(outer)
            if getattr(layer, "padding", None) == "same" and max(getattr(layer, "strides", None) or (1,)) > 1
        ]
        found = super().warnings()
        recurrent = [
            outer.name
            for outer in leaves(self.model)
            if compat.SCANS_IN_PYTHON
            and any(isinstance(layer, self.keras.layers.RNN) for _, layer in inner_layers(outer))
        ]
        if recurrent:
            found.append(
                "{}: Theano loops over time steps in Python here, as the C code of its scan doesn't compile "
                "on Python 3.11; in the environment vintage it loops in C".format(", ".join(recurrent))
            )
        if not shifted:
            return found
        return found + [
            "{}: padding 'same' with a stride puts the windows of even-sized images elsewhere on Theano than "
            "on other backends; ZeroPadding2D and padding 'valid' mean the same to all".format(
                ", ".join(shifted)
            )
        ]

    def observed(self) -> Mapping[str, Any]:
        """With Theano's own configuration."""
        config = self.theano.config
        compiles = bool(config.cxx) and config.linker != "py"
        blas = probe.openblas(self.blas_library) if self.blas_library else {}
        return dict(
            super().observed(),
            jit=compiles,
            execution="C and C++ through g++" if compiles else "Python, operation by operation",
            compile_cache=self.compile_cache if compiles else None,
            threads=probe.openmp_threads(),
            blas_threads=blas.get("threads"),
            blas=blas.get("config", config.blas.ldflags),
            deterministic=config.deterministic == "more",
            theano={
                "mode": config.mode,
                "optimizer": config.optimizer,
                "linker": config.linker,
                "openmp": bool(config.openmp),
                "blas.ldflags": config.blas.ldflags,
                "cxx": config.cxx,
                "gcc.cxxflags": config.gcc.cxxflags,
            },
        )
