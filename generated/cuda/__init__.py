"""Kernels for NVIDIA GPUs: Numba, a block of threads for each chunk of a tensor."""
