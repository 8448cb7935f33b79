"""The compiled core. Written by cpp/bindings/stubs.py; do not edit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

METRICS: tuple[str, ...]
NETWORK_NUMERICS_VERSION: int
NUMERICS_VERSION: int
class NetworkSettings:
    def __init__(self) -> None: ...
    activation: list[str]
    active: int
    batch_size: int
    beta1: float
    beta2: float
    bias: list[bool]
    bias_decay: list[tuple[int, float]]
    bias_start: list[float]
    blocks: int
    clauses: list[list[list[int]]]
    dropout: list[float]
    dropout_sharing: str
    dtype: str
    epsilon: float
    frozen: list[bool]
    full_batch: bool
    importance: list[float]
    init: str
    init_scale: float
    inputs: str
    l1: list[float]
    l1_activations: list[float]
    l1_schedule: list[tuple[int, float]]
    l1_update: str
    label_noise: float
    learning_rate: float
    learning_rate_schedule: str | list[tuple[int, float]]
    loss: str
    magnitude: list[str]
    momentum: float
    noise: str
    noise_shape: float
    noise_sharing: str
    noise_std: list[float]
    optimizer: str
    output: str
    power: float
    probability: list[float]
    readout: str
    reads: list[int]
    residual: list[int]
    def set_rows(self, which: str, indptr: NDArray[np.int64], indices: NDArray[np.int32], values: NDArray[np.float64], targets: Any) -> None: ...
    steps: int
    target: str
    tied: bool
    weight_decay: float
    widths: list[int]

class Settings:
    def __init__(self) -> None: ...
    activation: str
    active: int
    batch_size: int
    beta1: float
    beta2: float
    bias: bool
    blocks: int
    dropout: float
    dropout_sharing: str
    dtype: str
    epsilon: float
    high: float
    importance: Any
    init: str
    init_scale: float
    inputs: str
    l1: float
    l1_schedule: list[tuple[int, float]]
    l1_target: str
    l1_update: str
    learning_rate: float
    learning_rate_schedule: str | list[tuple[int, float]]
    low: float
    magnitude: list[str]
    momentum: float
    n_features: int
    n_hidden: int
    noise: str
    noise_shape: float
    noise_sharing: str
    noise_std: float
    optimizer: str
    probability: list[float]
    repulsion: float
    second_moment: str
    def set_fixed_batch(self, indptr: NDArray[np.int64], indices: NDArray[np.int32], values: NDArray[np.float64]) -> None: ...
    steps: int
    stop: str
    tied: bool
    weight_decay: float

__version__: str
def autoencoder_columns() -> list[Any]: ...
def count(weights: NDArray[Any], low: float, high: float) -> dict[str, Any]: ...
def default_threads() -> int: ...
def draw_batch(settings: Settings, seed: int, step: int) -> tuple[Any, ...]: ...
def draw_dropout(settings: Settings, seeds: NDArray[np.uint64], step: int, rows: int) -> NDArray[Any]: ...
def draw_noise(settings: Settings, seeds: NDArray[np.uint64], step: int, rows: int) -> NDArray[Any]: ...
def encoding_run(start: NDArray[np.float32], l1: float, step: float, end: float, times: Sequence[float]) -> dict[str, Any]: ...
def encoding_start(seed: int, m: int, deviation: float) -> NDArray[Any]: ...
def fma_peak() -> float: ...
def forward(settings: Settings, encoder: NDArray[Any], decoder: Any, bias: Any, batch: Any, noise: Any) -> NDArray[Any]: ...
def info() -> dict[str, Any]: ...
def initial_weights(settings: Settings, seeds: NDArray[np.uint64]) -> tuple[Any, ...]: ...
def kernel_refusal(settings: Settings, kernel: str) -> str: ...
def loss_and_gradient(settings: Settings, encoder: NDArray[Any], decoder: Any, bias: Any, batch: Any, noise: Any, scale: float) -> tuple[Any, ...]: ...
def model_bytes(settings: Settings, kernel: str, seeds: int) -> int: ...
def network_bytes(settings: NetworkSettings, kernel: str, seeds: int, threads: int) -> int: ...
def network_concepts(settings: NetworkSettings, batch: tuple[Any, ...], targets: Any) -> tuple[Any, ...]: ...
def network_draw(settings: NetworkSettings, seed: int, step: int) -> dict[str, Any]: ...
def network_evaluation(settings: NetworkSettings) -> tuple[Any, ...]: ...
def network_forward(settings: NetworkSettings, parameters: dict[str, Any], batch: tuple[Any, ...], noise: list[Any]) -> list[Any]: ...
def network_kernel_refusal(settings: NetworkSettings, kernel: str) -> str: ...
def network_loss_and_gradient(settings: NetworkSettings, parameters: dict[str, Any], batch: tuple[Any, ...], targets: Any, noise: list[Any], dropout: list[Any]) -> tuple[Any, ...]: ...
def network_train(settings: NetworkSettings, seeds: NDArray[np.uint64], initial_weights: dict[str, Any], metrics: Sequence[str], record_steps: NDArray[np.int64], return_weights: bool, num_threads: int, kernel: str, progress: Any) -> dict[str, Any]: ...
def network_use(settings: NetworkSettings, parameters: dict[str, Any], batch: tuple[Any, ...], targets: Any, concepts: tuple[Any, ...], held: Sequence[Sequence[int]]) -> dict[str, Any]: ...
def philox(counter: Sequence[int], key: int) -> list[int]: ...
def shape_word(n: int, m: int) -> int: ...
testing: Any
def train(settings: Settings, seeds: NDArray[np.uint64], initial_weights: dict[str, Any], noise_sequence: Any, metrics: Sequence[str], record_steps: NDArray[np.int64], return_weights: bool, num_threads: int, kernel: str, progress: Any) -> dict[str, Any]: ...
