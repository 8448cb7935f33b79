"""How many neurons become polysemantic by accident as the number of neurons grows?

The paper's main figure: counts compared with the collision law n²/(4m). The presets differ in size
only; seeds, sizes and all other settings can be changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fastpolysem.experiments._base import Presets, StudyExperiment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study


class Collisions(StudyExperiment):
    """The main figure: counts against the number of neurons."""

    NAME = "collisions"
    SUMMARY = "Count polysemantic neurons as the number of neurons grows, and compare with n²/4m."
    FIGURE_SIZE = (6.4, 4.4)
    PRESETS: ClassVar[Presets] = {
        # A minute and a half on two cores.
        "default": {"seeds": 128, "n_features": 64, "n_hidden": [64, 128, 256, 512], "l1": 1e-3},
        # A few seconds.
        "quick": {"seeds": 100, "n_features": 32, "n_hidden": [32, 64, 128, 256], "l1": 1e-3},
        # The published figure.
        "paper": {"seeds": 16, "n_features": 256, "n_hidden": range(256, 4097, 256), "l1": 1e-3},
        # Hours.
        "large": {
            "seeds": 1000,
            "n_features": 256,
            "n_hidden": [256, 512, 1024, 1536, 2048, 3072, 4096],
            "l1": 1e-3,
            "l1_update": "orthant",
        },
    }

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """Mean counts against the number of neurons."""
        from fastpolysem import plots

        return plots.collisions(data, ax)


EXPERIMENT = Collisions()
