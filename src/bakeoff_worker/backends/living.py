"""The environments of today's frameworks, each shared by Keras on it and by the framework without Keras."""

from bakeoff_worker.backends.record import Environment

TENSORFLOW = Environment(
    name="tensorflow",
    summary="Keras 3.15.1 on TensorFlow 2.21.0 (CPU)",
    lock="tensorflow.txt",
    disk_bytes=1850000000,
)
JAX = Environment(
    name="jax",
    summary="Keras 3.15.1 on JAX 0.10.2 (CPU)",
    lock="jax.txt",
    disk_bytes=800000000,
)
TORCH = Environment(
    name="torch",
    summary="Keras 3.15.1 on PyTorch 2.13.0 (CPU build)",
    lock="torch.txt",
    disk_bytes=1200000000,
)
