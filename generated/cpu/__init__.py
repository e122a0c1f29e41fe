"""Kernels for the CPU: Numba, parallel over chunks of all tensors."""
