"""Loops: what generated functions do, as nodes; how a kernel becomes them, and what they mean."""
