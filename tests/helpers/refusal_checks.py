"""Configurations and arrays that the tests of refusals start from."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastpolysem as fp

N, M = 6, 10
BASE = fp.Config(n_features=N, n_hidden=M, l1=1e-3, steps=4)
SMOOTH = BASE.replace(l1=0)
NOISY = BASE.replace(noise="gaussian", noise_std=0.1)
OWN_NOISE = NOISY.replace(noise_sharing="input")
UNTIED = BASE.replace(tied=False)
BIASED = BASE.replace(bias=True)
SAMPLED = BASE.replace(inputs=fp.Independent(0.5, 8))
CERTIFIED = BASE.replace(l1_update="orthant", stop="certified")
W = np.full((N, M), 0.1)
NAN = np.where(np.eye(N, M) == 1, np.nan, W)
BATCH = np.eye(3, N)


def check(kind, message, function, *args, **kwargs):
    """The call must raise exactly this type with a message that holds this text."""
    with pytest.raises(kind, match=re.escape(message)) as caught:
        function(*args, **kwargs)
    assert caught.type is kind
