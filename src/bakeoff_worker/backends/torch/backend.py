"""Keras 3 on PyTorch."""

import os
import shutil
from typing import Any, List, Mapping, Optional, Tuple

from bakeoff_worker.backends.base import Skip
from bakeoff_worker.backends.keras_model import Keras3, require_gpu
from bakeoff_worker.backends.keras_weights import inner_layers, leaves

# Numbers that a vector of the processor holds, as oneDNN takes channels together.
_BLOCKS = {"AVX2": 8, "AVX512": 16}


class Backend(Keras3):
    """PyTorch: eager unless the study asks for compilation."""

    keras_backend = "torch"

    def skip_reason(self) -> Optional[str]:
        """Keras loops over single steps there; on the CPU PyTorch compiles through C++."""
        if self.settings.steps_per_execution > 1:
            return "Keras takes one step a call on PyTorch: it refuses steps_per_execution there"
        if self.settings.jit and self.settings.device == "cpu" and not shutil.which("g++"):
            return "PyTorch compiles through C++, but there is no g++"
        return super().skip_reason()

    def build(self, build_model: Any, input_shape: Tuple[int, ...], num_classes: int, seed: int) -> None:
        """As ever, but for what PyTorch gets wrong.

        Raises:
            Skip: PyTorch's oneDNN writes past its memory in training this network.
        """
        super().build(build_model, input_shape, num_classes, seed)
        layers = self._miscomputed()
        if layers:
            raise Skip(
                "{}: PyTorch's oneDNN computes wrong gradients of a 1x1 convolution with strides over few "
                "channels, or hangs, on this processor (oneDNN issue 6035); take data_layout = "
                '"channels_first", {} channels or more before it, or pool first and convolve without '
                "strides".format(", ".join(layers), self._block())
            )

    def _block(self) -> int:
        """How many channels oneDNN takes together here; 0 where it takes another way."""
        return _BLOCKS.get(self.torch.backends.cpu.get_cpu_capability(), 0)

    def _miscomputed(self) -> List[str]:
        """Layers whose kernel gradients oneDNN computes into memory that isn't theirs.

        With one channel, as many as it takes together or more, groups, or in one or three dimensions it is
        right. Seen with PyTorch 2.13 (oneDNN 3.12) on AVX2; the code for AVX-512 has the same fault (oneDNN
        issue 6035).
        """
        settings = self.settings
        if settings.device != "cpu" or settings.precision != "float32":
            return []
        return [
            "/".join(filter(None, (outer.name, path)))
            for outer in leaves(self.model)
            for path, layer in inner_layers(outer)
            if isinstance(layer, self.keras.layers.Conv2D)
            and (layer.data_format, layer.groups) == ("channels_last", 1)
            and set(layer.kernel_size) == {1}
            and max(layer.strides) > 1
            and 1 < layer.kernel.shape[-2] < self._block()
        ]

    def _before_import(self) -> None:
        if self.settings.jit:
            self.cache_directory = os.path.join(self.paths.scratch, "inductor")
            self.compile_cache = "warm" if os.path.isdir(self.cache_directory) else "cold"
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = self.cache_directory
        if self.settings.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if self.settings.deterministic and self.settings.device == "gpu":
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"

    def _after_import(self) -> None:
        import torch

        self.torch = torch
        if self.settings.device == "gpu":
            require_gpu(torch.cuda.is_available(), "PyTorch")
        if self.settings.tf32 is not None:
            torch.backends.cuda.matmul.allow_tf32 = self.settings.tf32
            torch.backends.cudnn.allow_tf32 = self.settings.tf32
        if self.settings.threads is not None:
            torch.set_num_threads(self.settings.threads)
            torch.set_num_interop_threads(self.settings.threads)
        if self.settings.deterministic:
            torch.use_deterministic_algorithms(True)
        super()._after_import()

    def synchronize(self) -> None:
        """Wait for the CUDA stream; on the CPU PyTorch has already computed."""
        if self.settings.device == "gpu":
            self.torch.cuda.synchronize()

    def observed(self) -> Mapping[str, Any]:
        """With thread counts and libraries."""
        return dict(
            super().observed(),
            execution="inductor" if self.model.jit_compile else "eager",
            compile_cache=self.compile_cache if self.settings.jit else None,
            threads=self.torch.get_num_threads(),
            inter_op_threads=self.torch.get_num_interop_threads(),
            blas=" and ".join(
                name
                for name, library in (
                    ("MKL", self.torch.backends.mkl),
                    ("oneDNN", self.torch.backends.mkldnn),
                )
                if library.is_available()
            )
            or "built in",
            deterministic=self.torch.are_deterministic_algorithms_enabled(),
            devices=[self.torch.cuda.get_device_name(0)] if self.settings.device == "gpu" else ["cpu"],
        )

    def device_peak_memory_bytes(self) -> Optional[int]:
        """Peak of PyTorch's own allocator on the current GPU."""
        return int(self.torch.cuda.max_memory_allocated()) if self.settings.device == "gpu" else None
