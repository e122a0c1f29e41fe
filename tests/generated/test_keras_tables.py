"""The tables that Keras holds its own optimizers to: what becomes of ten ones after each of five steps.

The first gradient is 0.01 everywhere, the others are 0.1, 0.2, … 1.0. The numbers are those of Keras 3, in
``keras/src/optimizers/*_test.py``. One number a step stands for all ten elements, within the 5e-4 that Keras allows;
the others are rounded to four digits.
"""

import numpy as np
import pytest

FIRST, LATER = np.full(10, 0.01), np.arange(1, 11) / 10
STEADY = [0.999, 0.9982, 0.9974, 0.9965, 0.9955]
ADAGRAD = [
    [0.9963] * 10,
    [0.9604, 0.9278, 0.9003, 0.8784, 0.8615, 0.8487, 0.8388, 0.8313, 0.8255, 0.8209],
    [0.9251, 0.8629, 0.8137, 0.7768, 0.7497, 0.7298, 0.7151, 0.704, 0.6956, 0.6891],
    [0.8903, 0.8012, 0.7342, 0.6862, 0.6521, 0.6277, 0.6099, 0.5967, 0.5867, 0.579],
    [0.856, 0.7422, 0.6604, 0.6037, 0.5644, 0.5367, 0.5168, 0.5021, 0.491, 0.4825],
]
ADAMAX = [
    [0.8] * 10,
    [0.6827, 0.6873, 0.6888, 0.6896, 0.6901, 0.6904, 0.6906, 0.6908, 0.6909, 0.691],
    [0.5333, 0.5407, 0.5431, 0.5444, 0.5451, 0.5456, 0.546, 0.5462, 0.5464, 0.5466],
    [0.368, 0.3773, 0.3804, 0.382, 0.3829, 0.3835, 0.384, 0.3843, 0.3846, 0.3848],
    [0.1933, 0.204, 0.2076, 0.2094, 0.2105, 0.2112, 0.2117, 0.2121, 0.2124, 0.2126],
]
NADAM = [
    [0.4281] * 10,
    [-0.1738, -0.1731, -0.1726, -0.1723, -0.1721, -0.172, -0.1719, -0.1718, -0.1718, -0.1717],
    [-0.7115, -0.7103, -0.7096, -0.7092, -0.709, -0.7088, -0.7086, -0.7085, -0.7085, -0.7084],
    [-1.2335, -1.2322, -1.2313, -1.2309, -1.2306, -1.2304, -1.2302, -1.2301, -1.23, -1.2299],
    [-1.7492, -1.7478, -1.7469, -1.7464, -1.7461, -1.7459, -1.7457, -1.7456, -1.7455, -1.7454],
]
SGD = [[0.9999] * 10, *(0.9999 - 0.01 * k * LATER for k in range(1, 5))]
TABLES = [
    ("adagrad", {"lr": 0.2, "initial_accumulator": 0.3, "eps": 1e-6}, ADAGRAD),
    ("adamax", {"lr": 0.2, "beta1": 0.85, "beta2": 0.95, "eps": 1e-6}, ADAMAX),
    ("nadam", {"lr": 0.5, "beta1": 0.5, "beta2": 0.67, "eps": 1e-5, "momentum_decay": 1}, NADAM),
    ("sgd", {"lr": 0.01}, SGD),
    ("adam_eps_hat", {"lr": 1e-3, "eps": 1e-7}, STEADY),
    ("amsgrad", {"lr": 1e-3, "eps": 1e-7}, STEADY),
    ("adadelta", {"lr": 1, "rho": 0.8, "eps": 1e-6}, [0.9978, 0.9947, 0.9915, 0.9882, 0.9849]),
    ("rmsprop_centered", {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7}, [0.9967, 0.9933, 0.9908, 0.9885, 0.9864]),
    ("lion", {"lr": 1e-3}, [0.999, 0.998, 0.997, 0.996, 0.995]),
]


@pytest.mark.parametrize(("name", "hypers", "table"), TABLES, ids=[name for name, *_ in TABLES])
def test_the_numbers_are_those_of_keras(name, hypers, table, generated_by_name):
    x = np.ones(10)
    optimizer = generated_by_name(name).kind([x], **hypers)
    for k, expected in enumerate(table):
        optimizer.step([LATER if k else FIRST])
        allowed = 6e-5 if np.size(expected) == x.size else 5e-4
        np.testing.assert_allclose(x, np.broadcast_to(expected, x.shape), rtol=0, atol=allowed)
