"""The paper's autoencoder: ``activation(W_dec (W_enc^T x + noise) + bias)``."""

from __future__ import annotations

from fastpolysem.families.autoencoder.family import AUTOENCODER
from fastpolysem.families.base import register_family

register_family(AUTOENCODER)
