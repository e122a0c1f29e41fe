"""CPUs: kernels of Numba, NumPy's arrays."""
