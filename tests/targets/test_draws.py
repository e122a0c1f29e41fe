"""Rules that draw: the deviates that the language promises, the same wherever a run is cut and however it is shared."""

import numba
import numpy as np
import pytest
from rules import NOISE

import optgen
from optgen.pipeline import kernel_of
from optgen.runtime.core import table
from optgen.runtime.cpu import launch
from optgen.verify import reference
from optgen.verify.error import Magnitudes

BOUND = 4
SMALL = [((5, 7), np.float32), ((3,), np.float64), ((), np.float32), ((0,), np.float64), ((101,), np.float64)]
LARGE = [*SMALL, ((40_000,), np.float32), ((37, 1001), np.float64), *(((k,), np.float32) for k in range(1, 20))]
FAR = 2**40 + 12345
"""More than float32 holds of t and of a seed."""


@pytest.fixture(scope="module")
def noise():
    return optgen.compile(NOISE)


def arrays(number, kinds=LARGE):
    rng = np.random.default_rng(number)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in kinds]


def trained(noise, steps=3, **hypers):
    optimizer = noise.Noise(arrays(0), **hypers)
    for number in range(1, steps + 1):
        optimizer.step(arrays(number))
    return optimizer


def content(optimizer):
    return [array.tobytes() for array in (*optimizer.params, *optimizer.state["m"])]


@pytest.mark.parametrize("given", [{}, {"seed": FAR}])
def test_every_element_of_a_model_is_right_to_the_last_places(noise, given):
    optimizer = noise.Noise(arrays(0, SMALL), **given)
    for number in (1, 2):
        before = [[array.copy() for array in group] for group in (optimizer.params, optimizer.state["m"])]
        grads = arrays(number, SMALL)
        optimizer.step(grads)
        for dtype in (np.float32, np.float64):
            measure = Magnitudes(dtype)
            thetas, states = reference.step(
                NOISE, before[0], grads, {"m": before[1]}, number, hypers=given, arithmetic=measure
            )
            for mine, wanted in ((optimizer.params, thetas), (optimizer.state["m"], states["m"])):
                errors = [measure.ulps(*pair) for pair in zip(mine, wanted, strict=True) if pair[0].dtype == dtype]
                assert max(error.max(initial=0) for error in errors) <= BOUND


def test_so_is_every_chunk_of_a_large_one(noise):
    optimizer = noise.Noise(arrays(0), seed=FAR)
    thetas, states = arrays(0), reference.start(NOISE, arrays(0))
    for number in (1, 2, 3):
        optimizer.step(arrays(number))
        thetas, states = reference.step(NOISE, thetas, arrays(number), states, number, hypers={"seed": FAR})
    for mine, wanted in zip(optimizer.params, thetas, strict=True):
        tolerance = 1e-6 if mine.dtype == np.float32 else 1e-14
        np.testing.assert_allclose(mine, wanted, rtol=tolerance, atol=tolerance)


def test_one_array_is_the_first_of_a_model_at_any_step(noise):
    for size in (1, 1000, table.CHUNK + 1, 3 * table.CHUNK):
        theta_, g_, m_ = np.zeros(size), np.zeros(size), np.ones(size)
        noise.step(theta_, g_, m_, t=FAR, seed=FAR, lr=1.0)
        wanted, _ = reference.step(
            NOISE, [np.zeros(size)], [g_], {"m": [np.ones(size)]}, FAR, hypers={"seed": FAR, "lr": 1.0}
        )
        np.testing.assert_allclose(theta_, wanted[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("threads", range(1, numba.config.NUMBA_NUM_THREADS + 1))
def test_any_number_of_threads_draws_alike(monkeypatch, noise, threads):
    expected = content(trained(noise))
    monkeypatch.setattr(launch, "SERIAL_BELOW", 0)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        assert content(trained(noise)) == expected
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("chunk", [7, 64, 1000, 10**6])
def test_any_chunks_draw_alike(monkeypatch, noise, chunk):
    expected = content(trained(noise))
    monkeypatch.setattr(table, "CHUNK", chunk)
    for serial_below in (0, 10**9):
        monkeypatch.setattr(launch, "SERIAL_BELOW", serial_below)
        assert content(trained(noise)) == expected


def test_an_array_draws_by_its_place_whatever_its_neighbours_are(noise):
    """Other dtypes and sizes before it change nothing; another place does."""

    def third(*others):
        optimizer = noise.Noise([*(np.zeros(size, dtype) for size, dtype in others), np.zeros(100)])
        optimizer.step([np.zeros_like(array) for array in optimizer.params])
        return optimizer.params[-1].tobytes()

    assert third((3, np.float32), (50_000, np.float64)) == third((0, np.float64), (1, np.float64))
    assert third((3, np.float32)) != third((3, np.float32), (3, np.float32))


def test_elements_arrays_steps_streams_and_seeds_draw_differently(noise):
    def moved(number, **hypers):
        params, zero = [np.zeros(1000), np.zeros(1000)], np.zeros(1000)
        optimizer = noise.Noise(params, lr=1.0, **hypers)
        for _ in range(number):
            before = [array.copy() for array in params]
            optimizer.step([zero, zero])
        return np.concatenate([now - old for now, old in zip(params, before, strict=True)])

    everything = np.concatenate([moved(1), moved(2), moved(1, seed=1), moved(1, seed=2**52)])
    assert len(np.unique(everything)) == everything.size


def test_a_run_resumed_from_a_state_dict_goes_on_bit_for_bit(noise, tmp_path):
    whole = trained(noise, steps=4, seed=FAR)
    begun = trained(noise, steps=2, seed=FAR)
    np.savez(tmp_path / "run.npz", **begun.state_dict())
    resumed = noise.Noise([array.copy() for array in begun.params])
    with np.load(tmp_path / "run.npz") as saved:
        resumed.load_state_dict(saved)
    assert resumed.hypers["seed"] == FAR
    for number in (3, 4):
        resumed.step(arrays(number))
    assert content(resumed) == content(whole)


@pytest.mark.parametrize("wrong", [-1, 0.5])
def test_a_seed_is_a_whole_number(noise, wrong):
    with pytest.raises(ValueError, match=r"seed = .* is outside its domain"):
        noise.Noise(arrays(0), seed=wrong)


def test_the_draws_of_a_branch_are_made_in_it_and_cost_no_memory(noise):
    source = noise.__loader__.get_source(noise.__name__)
    assert source.count("z0 = draws(row, keys[group, 0], keys[group, 1], 0, scalars)  # normal(seed)") == 2
    assert source.count("z1 = draws(row, keys[group, 0], keys[group, 1], 1, scalars)  # normal(seed, 1)") == 1
    kernel = kernel_of(NOISE)
    assert [branch.loads for branch in kernel.branches] == [2, 3]
    assert [[draw.name for draw in sweep.draws] for sweep in kernel.sweeps] == [["z0"], ["z0", "z1"]]
