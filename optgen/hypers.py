"""The hyperparameters that most rules share; see `optgen.language.hypers`."""

from optgen.language.hypers import *  # noqa: F403
