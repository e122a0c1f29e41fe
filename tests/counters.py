"""Philox4x32-10 as its authors write it (Salmon et al. 2011, section 3.3), in whole numbers of Python."""

import numpy as np


def philox4x32(counter, key):
    """The four words of a counter under a key of two words."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * counter[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * counter[2], 2**32)
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return tuple(counter)


def words_of(block, tensor, t, stream, seed):
    """The words of a block of elements, as `optgen.language.noise.normal` counts."""
    counter = (block, tensor, t, block // 2**32 + 2**16 * stream)
    return philox4x32([x % 2**32 for x in counter], [seed % 2**32, seed // 2**32 % 2**32])


def pairs_of(tensor, t, stream, seed, size):
    """For each of so many elements the words of u1 and u2, and whether it has the sine."""
    found = []
    for block in range(-(-size // 4)):
        a, b, c, d = words_of(block, tensor, t, stream, seed)
        found += [(a, b, False), (a, b, True), (c, d, False), (c, d, True)]
    return found[:size]


def box_muller(pairs):
    """What Box and Muller make of them, in float64."""
    u1, u2 = ((np.array([pair[k] for pair in pairs], np.float64) + 0.5) / 2**32 for k in (0, 1))
    turned = np.where([pair[2] for pair in pairs], np.sin(2 * np.pi * u2), np.cos(2 * np.pi * u2))
    return np.sqrt(-2 * np.log(u1)) * turned
