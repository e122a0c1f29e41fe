"""NVIDIA GPUs: kernels of numba-cuda, arrays of PyTorch, CuPy and others."""
