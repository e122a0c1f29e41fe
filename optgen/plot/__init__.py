"""Pictures of what rules do, made by their kernels; needs matplotlib, an extra."""
