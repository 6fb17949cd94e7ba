"""The environments of today's frameworks, each shared by Keras on it and by the framework without Keras."""

from bakeoff_worker.backends.record import Cuda, Environment

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
# The last release that runs on CPUs as XLA did before its "thunk" runtime: what does a release cost?
JAX_0_4 = Environment(
    name="jax_0_4",
    summary="Keras 3.15.1 on JAX 0.4.31 (CPU), an earlier release",
    lock="jax_0_4.txt",
    disk_bytes=750000000,
)
TORCH = Environment(
    name="torch",
    summary="Keras 3.15.1 on PyTorch 2.13.0 (CPU build)",
    lock="torch.txt",
    disk_bytes=1200000000,
)

# The same releases for NVIDIA's GPUs. TensorFlow and JAX share their CUDA: what differs is the framework, and
# a wheel of both is downloaded once. disk_bytes: not measured, two and a half times the download.
TENSORFLOW_GPU = Environment(
    name="tensorflow_gpu",
    summary="Keras 3.15.1 on TensorFlow 2.21.0 (CUDA 12.9)",
    lock="tensorflow_gpu.txt",
    disk_bytes=8600000000,
    cuda=Cuda("12.9", "9.28", 525, ((7, 5), (9, 0))),
)
JAX_GPU = Environment(
    name="jax_gpu",
    summary="Keras 3.15.1 on JAX 0.10.2 (CUDA 12.9)",
    lock="jax_gpu.txt",
    disk_bytes=8400000000,
    cuda=Cuda("12.9", "9.28", 525, ((7, 5), (12, 0))),
)
TORCH_GPU = Environment(
    name="torch_gpu",
    summary="Keras 3.15.1 on PyTorch 2.13.0 (CUDA 13.0)",
    lock="torch_gpu.txt",
    disk_bytes=6900000000,
    cuda=Cuda("13.0", "9.20", 580, ((7, 5), (12, 0))),
)
