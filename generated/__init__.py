"""Modules that `optgen build` has written, one folder a target, one module an optimizer."""
