"""What the configurations of every family promise."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any


def assert_round_trips(config: Any) -> None:
    """Through JSON, pickle and copies, with the same digest."""
    text = json.dumps(config.to_dict(), allow_nan=False)
    for again in (
        type(config).from_dict(json.loads(text)),
        pickle.loads(pickle.dumps(config)),
        copy.deepcopy(config),
        config.replace(),
    ):
        assert again == config
        assert hash(again) == hash(config)
        assert again.digest == config.digest
        assert again.to_dict() == config.to_dict()
