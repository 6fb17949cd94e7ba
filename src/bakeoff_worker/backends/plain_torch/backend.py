"""PyTorch without Keras: one step after the other, images channels last in memory."""

import os
import shutil
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from bakeoff_worker.backends.plain import PlainBackend, rule


class Backend(PlainBackend):
    """Eager, unless the study asks for compilation."""

    def skip_reason(self) -> Optional[str]:
        """On the CPU PyTorch compiles through C++."""
        if self.settings.jit and not shutil.which("g++"):
            return "PyTorch compiles through C++, but there is no g++"
        return super().skip_reason()

    def start(self) -> None:
        """Import PyTorch and set its threads."""
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self.compile_cache = None
        if self.settings.jit:
            directory = os.path.join(self.paths.scratch, "inductor")
            self.compile_cache = "warm" if os.path.isdir(directory) else "cold"
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = directory
        import torch

        self.torch = torch
        if self.settings.threads is not None:
            torch.set_num_threads(self.settings.threads)
            torch.set_num_interop_threads(self.settings.threads)

    def prepare(self) -> None:
        """The loss of a batch, compiled if asked to be."""
        self.num_slots, self.step = rule(self.settings, self.torch.sqrt)
        self.loss = self.torch.compile(self._loss) if self.settings.jit else self._loss

    def weights(self) -> Dict[str, Any]:
        """In Keras's form: a convolution's kernel is (height, width, in, out)."""
        return {
            name: np.array(self._turned(one.detach(), (2, 3, 1, 0)).numpy())
            for name, one in zip(self.shapes, self.held)
        }

    def restart(self, weights: Mapping[str, Any]) -> None:
        """As new tensors; convolutions' kernels channels last in memory."""
        self.torch.manual_seed(self.seed)
        self.held = []
        for name in self.shapes:
            one = self._turned(self.torch.from_numpy(np.array(weights[name])), (3, 2, 0, 1))
            form = self.torch.channels_last if one.ndim == 4 else self.torch.contiguous_format
            self.held.append(one.contiguous(memory_format=form).requires_grad_())
        self.slots = [tuple(self.torch.zeros_like(one) for _ in range(self.num_slots)) for one in self.held]
        self.num_steps = 0

    def train_epoch(self, x: Any, y: Any) -> Tuple[float, float]:
        """Batch by batch; sums stay tensors until the end."""
        loss_sum = hits = 0.0
        for images, labels in self.batches(x, y):
            loss, right = self.loss(self.held, self._images(images), self._labels(labels), self.drops_out)
            gradients = self.torch.autograd.grad(loss, self.held)
            self.num_steps += 1
            with self.torch.no_grad():
                for place, (held, gradient) in enumerate(zip(self.held, gradients)):
                    moved, self.slots[place] = self.step(held, gradient, self.slots[place], self.num_steps)
                    held.copy_(moved)
                loss_sum, hits = loss_sum + loss.detach() * len(images), hits + right
        return float(loss_sum) / len(x), float(hits) / len(x)

    def evaluate(self, x: Any, y: Any) -> Tuple[float, float]:
        """In batches of the training's size."""
        loss_sum = hits = 0.0
        with self.torch.no_grad():
            for images, labels in self.batches(x, y):
                loss, right = self.loss(self.held, self._images(images), self._labels(labels), False)
                loss_sum, hits = loss_sum + loss * len(images), hits + right
        return float(loss_sum) / len(x), float(hits) / len(x)

    def wrong(self, x: Any, y: Any) -> Any:
        """By the largest output."""
        with self.torch.no_grad():
            found = [
                self._logits(self.held, self._images(images), False).argmax(1).numpy()
                for images, _ in self.batches(x, y)
            ]
        return np.concatenate(found) != y.argmax(axis=1)

    def observed(self) -> Mapping[str, Any]:
        """With threads and the way it runs."""
        return dict(
            super().observed(),
            jit=bool(self.settings.jit),
            execution="inductor" if self.settings.jit else "eager",
            compile_cache=self.compile_cache,
            threads=self.torch.get_num_threads(),
            inter_op_threads=self.torch.get_num_interop_threads(),
            blas="MKL and oneDNN" if self.torch.backends.mkl.is_available() else "oneDNN",
        )

    def _loss(self, held: Any, images: Any, labels: Any, drops_out: bool) -> Tuple[Any, Any]:
        """Mean cross-entropy of a batch, and how many images are right."""
        logits = self._logits(held, images, drops_out)
        loss = self.torch.nn.functional.cross_entropy(logits, labels)
        return loss, (logits.argmax(1) == labels.argmax(1)).sum()

    def _logits(self, held: Any, images: Any, drops_out: bool) -> Any:
        functional, options = self.torch.nn.functional, self.options
        x, rest = images, list(held)
        for _ in options["filters"]:
            kernel, bias, *rest = rest
            x = functional.max_pool2d(
                functional.relu(functional.conv2d(x, kernel, bias)), options["pool_size"]
            )
        x = functional.dropout(x, options["dropout"], drops_out)
        x = x.permute(0, 2, 3, 1).flatten(1)
        while len(rest) > 2:
            kernel, bias, *rest = rest
            x = functional.relu(x @ kernel + bias)
        return x @ rest[0] + rest[1]

    def _images(self, images: Any) -> Any:
        """(N, channels, height, width), lying in memory as they are: channels last."""
        return self.torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)

    def _labels(self, labels: Any) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(labels))

    def _turned(self, one: Any, order: Tuple[int, ...]) -> Any:
        return one.permute(order) if one.ndim == 4 else one
