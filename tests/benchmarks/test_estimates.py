"""The benchmark of estimates: its exact kernel is AdamW, and what it estimates is near what it should be."""

import ctypes
import shutil

import estimates
import numpy as np
import pytest
from llvmlite import binding

SIZE = 64


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The kernels, compiled."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    features = binding.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        pytest.skip("the processor has no AVX2")
    return estimates.compiled(tmp_path_factory.mktemp("estimates"))


@pytest.mark.parametrize("variant", estimates.VARIANTS)
def test_every_variant_but_the_last_is_adamw(library, variant):
    theta, g, m, v = np.random.default_rng(0).standard_normal((4, SIZE)).astype(np.float32)
    v **= 2
    m_next = 0.9 * m + 0.1 * g
    v_next = 0.999 * v + 0.001 * g**2
    expected = 0.9999 * theta - 1e-3 * 1.01 * m_next / (np.sqrt(1.02 * v_next) + 1e-8)
    getattr(library, variant)(*map(estimates.address, (theta, g, m, v)), ctypes.c_int64(SIZE))
    np.testing.assert_allclose(m, m_next, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(v, v_next, rtol=1e-5)
    assert np.allclose(theta, expected, rtol=1e-5, atol=1e-6) == (variant != "neither")


@pytest.mark.parametrize(("name", "exact"), [("roots", np.sqrt), ("reciprocals", np.reciprocal)])
@pytest.mark.parametrize("way", ["table", "bits"])
def test_estimates_are_off_by_units_in_the_last_place(library, name, exact, way):
    worst, _ = estimates.errors(library, f"{name}_by_{way}", exact)
    assert 0.5 < worst < 8
