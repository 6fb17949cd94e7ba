"""Keras 3 on JAX."""

import os
import re
from typing import Any, Mapping, Optional

from bakeoff_worker import probe
from bakeoff_worker.backends.keras_model import Keras3, require_gpu

# What XLA calls the training step that Keras jits.
MODULE = "jit_train_step"


class Backend(Keras3):
    """JAX: every step jitted, dispatched asynchronously, waited for at epoch borders."""

    keras_backend = "jax"

    def _before_import(self) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu" if self.settings.device == "cpu" else "cuda,cpu"
        if self.settings.threads is not None:
            # XLA's CPU client sizes its pool by NPROC where set, else by the process's CPUs; the flag
            # --xla_cpu_multi_thread_eigen, often named for this, changes nothing in jaxlib 0.10.
            os.environ["NPROC"] = str(self.settings.threads)
        if self.settings.precision == "float64":
            os.environ["JAX_ENABLE_X64"] = "true"
        if self.settings.deterministic and self.settings.device == "gpu":
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = (flags + " --xla_gpu_deterministic_ops=true").strip()

    def _after_import(self) -> None:
        import jax

        self.jax = jax
        if self.settings.device == "gpu":
            require_gpu(any(device.platform in ("gpu", "cuda") for device in jax.devices()), "JAX")
        if self.settings.tf32 is not None:
            # Read when a step is traced; convolutions follow it too.
            jax.config.update(
                "jax_default_matmul_precision", "tensorfloat32" if self.settings.tf32 else "float32"
            )
        super()._after_import()

    def synchronize(self) -> None:
        """Wait for every variable that training writes; JAX dispatches asynchronously on the CPU too."""
        variables = self.model.variables + self.model.optimizer.variables
        self.jax.block_until_ready([variable.value for variable in variables])

    def observed(self) -> Mapping[str, Any]:
        """With the devices in use, the size of XLA's pool, and other libraries that its program calls."""
        return dict(
            super().observed(),
            execution="XLA" if self.model.jit_compile else "eager",
            threads=probe.count_threads("tf_XLAEigen"),
            blas="Eigen and oneDNN, built in",
            deterministic=self.settings.deterministic,
            devices=[str(device) for device in self.jax.devices()],
            custom_calls=sorted(set(re.findall(r'custom_call_target="([^"]*)"', self.program()))),
        )

    def program(self) -> str:
        """The compiled training step, as XLA prints it; empty before there is one."""
        texts = [
            module.to_string()
            for executable in self.jax.devices()[0].client.live_executables()
            for module in executable.hlo_modules()
            if module.name == MODULE
        ]
        return texts[-1] if texts else ""

    def device_peak_memory_bytes(self) -> Optional[int]:
        """Peak of XLA's allocator on the first GPU."""
        if self.settings.device != "gpu":
            return None
        statistics = self.jax.devices()[0].memory_stats() or {}
        return statistics.get("peak_bytes_in_use")
