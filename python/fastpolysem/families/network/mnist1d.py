"""Data sets that the package mnist1d generates; part of `datasets`."""

from __future__ import annotations

import importlib
import random
import warnings
from typing import Any

import numpy as np

from fastpolysem import _checks
from fastpolysem.families.network.dataset import Dataset

_SAMPLE_BYTES = 1000  # of its 40 numbers while they are generated and split


def mnist1d(
    batch_size: int | None = 100,
    *,
    label_noise: float = 0.0,
    samples: int = 5000,
    seed: int = 42,
) -> Dataset:
    """MNIST-1D: noisy, shifted and sheared templates of 40 points, 10 classes.

    The defaults give the published data set: 4000 rows to train on and 1000 held out. The package
    mnist1d generates it; values are rounded to float32.

    Parameters
    ----------
    batch_size, label_noise
        As in `Dataset`.
    samples
        Number of rows, a multiple of 10; the last fifth is held out.
    seed
        Seed of the rows, 0 <= seed < 2**32.

    Raises
    ------
    ImportError
        Without the package mnist1d: ``pip install 'fastpolysem[datasets]'``.

    Notes
    -----
    Source: Greydanus and Kobak (2024), "Scaling Down Deep Learning with MNIST-1D". Licence:
    Apache-2.0. Generating the rows uses the global random generators of Python and NumPy; their
    states are restored.
    """
    made = _mnist1d("mnist1d", samples, seed)
    shown, held = ((made[f"x{end}"].astype(np.float32), made[f"y{end}"]) for end in ("", "_test"))
    return Dataset(*shown, batch_size, label_noise, held)


def mnist1d_sums(
    batch_size: int | None = 100,
    *,
    probability: float = 0.2,
    samples: int = 10_000,
    seed: int = 42,
) -> Dataset:
    """Sums of MNIST-1D templates: several labels per row, whose contributions are known.

    Each of the ten classes is present with the same probability, independently of the others. A row
    is the sum of one row of `mnist1d` of each class that is present, in 40 points; the rows are
    scaled, sheared and noisy, but not shifted. The ten targets are 1 for classes that are present,
    else 0.

    Parameters
    ----------
    batch_size
        As in `Dataset`.
    probability
        That of each class, 0 < probability < 1.
    samples
        Number of rows, a multiple of 10; the last fifth is held out, and consists of sums of
        other rows of `mnist1d`.
    seed
        Seed of the rows, 0 <= seed < 2**32.

    Returns
    -------
    Dataset with targets 0 and 1, for `losses.BinaryCrossEntropy`.

    Raises
    ------
    ImportError
        Without the package mnist1d: ``pip install 'fastpolysem[datasets]'``.

    Notes
    -----
    Templates and transformations are those of Greydanus and Kobak (2024); see `mnist1d`.
    """
    label = "mnist1d_sums"
    share = _checks.real(f"{label}: probability", probability, (">", 0), ("<", 1))
    made = _mnist1d(label, samples, seed, max_translation=1)  # a shift of 0 points
    generator = np.random.Philox(key=checked_seed(f"{label}: seed", seed))
    parts = []
    for end in ("", "_test"):
        rows, classes = made[f"x{end}"].astype(np.float32), made[f"y{end}"]
        words = generator.random_raw(2 * len(rows) * 10).reshape(2, len(rows), 10)
        present = words[0] < np.uint64(share * 2**64)
        sums = np.zeros(rows.shape)
        for one in range(10):
            own = np.flatnonzero(classes == one)
            if not len(own):
                allowed = f"so many that rows of class {one} are trained on and held out"
                raise _checks.refused(f"{label}: samples", allowed, samples)
            chosen = rows[own[words[1, :, one] % np.uint64(len(own))]]
            sums += present[:, [one]] * chosen.astype(np.float64)
        parts.append((sums.astype(np.float32), present.astype(np.float64)))
    return Dataset(*parts[0], batch_size, held_out=parts[1])


def extra(module: str, function: str, package: str) -> Any:
    """A module of a package that only some data sets need."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names within the other package
            return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{function} needs the package {package}: pip install 'fastpolysem[datasets]' ({error})"
        ) from error


def _mnist1d(label: str, samples: object, seed: object, **changes: Any) -> dict[str, Any]:
    """What the package mnist1d generates."""
    rows = _checks.integer(f"{label}: samples", samples, (">=", 10))
    if rows % 10:
        raise _checks.refused(f"{label}: samples", "a multiple of 10", samples)
    _checks.memory(label, {f"{rows} samples": rows * _SAMPLE_BYTES}, "ask for fewer samples")
    number = _checks.integer(f"{label}: seed", seed, (">=", 0), ("<", 2**32))
    module = extra("mnist1d.data", label, "mnist1d")
    arguments = module.get_dataset_args()
    for name, value in {"num_samples": rows, "seed": number, **changes}.items():
        setattr(arguments, name, value)
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        made: dict[str, Any] = module.make_dataset(arguments)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    return made


def checked_seed(label: str, seed: object) -> int:
    return _checks.integer(label, seed, (">=", 0), ("<", 2**64))
