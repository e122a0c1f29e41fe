"""Benchmarks and the writers of documents are scripts, which are imported from where they lie."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "docs")]
