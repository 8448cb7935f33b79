"""Figures: what is drawn, where, and with which words.

One file: one small test per figure and per defect that a figure once had.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fastpolysem as fp
from fastpolysem import plots, theory
from fastpolysem.families.autoencoder.plots import weights
from helpers import probes, synthetic
from helpers.figure_checks import bars, check_layout

matplotlib.use("Agg")

CONFIG = fp.Config(n_features=64, n_hidden=64, l1=1e-3)
SMALL = fp.Config(n_features=6, n_hidden=8, steps=10)
WIDTHS = [64, 128, 256]


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def ax() -> Axes:
    axes: Axes = Figure().subplots()
    return axes


def study(**varying: list[object]) -> fp.Study:
    """Counts around the law, a little less for each further series."""
    rng = np.random.default_rng(1)
    made = []
    for index, config in enumerate(fp.grid(CONFIG, **varying, n_hidden=WIDTHS)):
        mean = 0.8 ** (index // len(WIDTHS)) * config.n_features**2 / (4 * config.n_hidden)
        made.append(synthetic.result(config, rng.poisson(mean, 50)))
    return synthetic.study(*made)


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def drawn(ax: Axes) -> None:
    """Fails if the figure cannot be rendered."""
    ax.figure.canvas.draw()


def test_collisions_draws_means_with_their_intervals(ax: Axes) -> None:
    made = study()
    assert plots.collisions(made, ax) is ax
    drawn(ax)
    (bar,) = bars(ax)
    table = made.summary()
    np.testing.assert_array_equal(bar.lines[0].get_xdata(), WIDTHS)
    np.testing.assert_allclose(np.asarray(bar.lines[0].get_ydata(), float), table["mean"])
    ends = np.array([segment[:, 1] for segment in bar.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends, table[["ci_low", "ci_high"]])


def test_collisions_draws_law_and_null_model(ax: Axes) -> None:
    plots.collisions(study(), ax)
    law, null = ax.get_lines()[-2:]
    x = np.asarray(law.get_xdata(), float)
    assert x.min() < 64
    assert x.max() > 256
    np.testing.assert_allclose(law.get_ydata(), 64**2 / (4 * x))
    whole = np.asarray(null.get_xdata(), float)
    np.testing.assert_allclose(null.get_ydata(), theory.null_mean(64, whole))
    assert law.get_linestyle() != null.get_linestyle()


def test_collisions_can_be_read_as_it_stands(ax: Axes) -> None:
    plots.collisions(study(), ax)
    drawn(ax)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlabel() == "hidden neurons m (n = 64 features)"
    assert ax.get_ylabel() == "polysemantic neurons"
    expected = ["trained, mean and 95 % interval", "collision law $n^2/4m$", "null model"]
    assert labels(ax) == expected
    assert [text.get_text() for text in ax.get_xticklabels()] == ["64", "128", "256"]
    visible = [float(text.get_text()) for text in ax.get_yticklabels()]
    assert {5, 10} < set(visible)


def test_collisions_has_one_series_for_each_setting_that_varies(ax: Axes) -> None:
    plots.collisions(study(optimizer=["adam", "adamw"], l1=[1e-3, 1e-2]), ax)
    drawn(ax)
    series = bars(ax)
    assert labels(ax)[:4] == [
        "l1=0.001, optimizer=adam",
        "l1=0.01, optimizer=adam",
        "l1=0.001, optimizer=adamw",
        "l1=0.01, optimizer=adamw",
    ]
    assert len({bar.lines[0].get_color() for bar in series}) == 4
    assert len({bar.lines[0].get_marker() for bar in series}) == 4
    places = [bar.lines[0].get_xdata()[0] for bar in series]
    assert len(set(places)) == 4  # side by side
    assert max(places) / min(places) < 1.1


def test_collisions_of_several_numbers_of_features(ax: Axes) -> None:
    plots.collisions(study(n_features=[32, 64]), ax)
    drawn(ax)
    assert labels(ax)[:2] == ["n_features=32", "n_features=64"]
    assert ax.get_xlabel() == "hidden neurons m"
    lines = [line for line in ax.get_lines() if line.get_color() == plots._axes.GREY]
    assert len(lines) == 4


def test_many_widths_are_labelled_at_powers_of_two(ax: Axes) -> None:
    configs = fp.grid(CONFIG, n_hidden=range(256, 4097, 256))
    plots.collisions(synthetic.study(*(synthetic.result(c, [1, 2, 3]) for c in configs)), ax)
    drawn(ax)
    ticks = [text.get_text() for text in ax.get_xticklabels()]
    assert ticks == ["256", "512", "1024", "2048", "4096"]


def test_a_count_of_0_is_drawn_at_0_on_a_logarithmic_axis(ax: Axes) -> None:
    wide = CONFIG.replace(n_hidden=512)
    made = synthetic.study(synthetic.result(CONFIG, [5, 6, 7]), synthetic.result(wide, [0] * 40))
    plots.collisions(made, ax)
    drawn(ax)
    (bar,) = bars(ax)
    np.testing.assert_allclose(np.asarray(bar.lines[0].get_ydata(), float), [6, 0])
    segment = bar.lines[2][0].get_segments()[1]
    top = made.summary().loc[1, "ci_high"]
    assert segment[:, 1].tolist() == [0, pytest.approx(top)]
    low, high = ax.get_ylim()
    assert low < 0 < top < high
    assert ax.get_yscale() == "symlog"
    ticks = [text.get_text() for text in ax.get_yticklabels()]
    assert ticks[0] == "0"
    assert "10" in ticks
    # Above the first labelled number powers of ten are equally far apart.
    places = ax.transData.transform([(64, y) for y in (0.1, 1, 10)])[:, 1]
    assert np.diff(places)[0] == pytest.approx(np.diff(places)[1])


def test_collapsed_and_diverged_settings_are_hollow(ax: Axes) -> None:
    configs = fp.grid(CONFIG, n_hidden=WIDTHS)
    missing = {"unrepresented": np.full(3, 20, dtype=np.int32)}
    made = synthetic.study(
        synthetic.result(configs[0], [5, 6, 7], **missing),
        synthetic.result(configs[1], [5, 6, 7]),
        synthetic.result(configs[2], [5, -1, 7]),
    )
    plots.collisions(made, ax)
    hollow = [line for line in ax.get_lines() if line.get_markerfacecolor() == ax.get_facecolor()]
    assert [x for line in hollow for x in line.get_xdata()] == [64, 256]
    assert labels(ax)[-1] == "hollow: diverged or > 5 % unrepresented"


def test_means_without_an_interval_are_drawn(ax: Axes) -> None:
    plots.collisions(synthetic.study(synthetic.result(CONFIG, [5])), ax)
    drawn(ax)
    plots.collisions(synthetic.study(synthetic.result(CONFIG, [0, 1])), ax)
    drawn(ax)


def test_curve_draws_any_column_with_the_references_of_the_family(ax: Axes) -> None:
    made = study()
    assert plots.curve(made, ax=ax) is ax
    drawn(ax)
    (bar,) = bars(ax)
    table = made.summary()
    np.testing.assert_array_equal(bar.lines[0].get_xdata(), WIDTHS)
    np.testing.assert_allclose(np.asarray(bar.lines[0].get_ydata(), float), table["mean"])
    assert labels(ax) == ["trained, mean and 95 % interval", "n²/4m", "null model"]
    lines = [line for line in ax.get_lines() if line.get_color() == plots._axes.GREY]
    for line, name in zip(lines, ("collision_law", "null_mean"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), table[name])
    other: Axes = Figure().subplots()
    plots.curve(made, y="loss", ax=other)
    assert other.get_ylabel() == "loss"
    assert len(labels(other)) == 1


def test_counts_shows_shares_and_the_null_model(ax: Axes) -> None:
    made = study()
    config = made.configs[1]
    assert plots.counts(made, config, ax) is ax
    drawn(ax)
    values = made.values(config)
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, np.bincount(values) / len(values))
    line = max(ax.get_lines(), key=lambda one: len(one.get_xdata()))
    null = theory.null_distribution(64, 128)
    np.testing.assert_allclose(line.get_ydata(), null[np.asarray(line.get_xdata(), int)])
    assert ax.get_ylabel() == "share of seeds"
    assert "n = 64 features, m = 128 neurons" in ax.get_xlabel()
    assert any("50 seeds" in text for text in labels(ax))
    assert any("null model" in text for text in labels(ax))
    assert len(bars(ax)) == 1


def test_counts_of_the_only_config_and_by_digest(ax: Axes) -> None:
    made = synthetic.study(synthetic.result(CONFIG, [3, 4, -1, 4]))
    plots.counts(made, ax=ax)
    assert len(ax.patches) == 5
    other: Axes = Figure().subplots()
    plots.counts(made, CONFIG.digest, other)
    assert len(other.patches) == 5


def test_counts_without_a_null_model(ax: Axes) -> None:
    narrow = CONFIG.replace(n_hidden=8)
    plots.counts(synthetic.study(synthetic.result(narrow, [3, 4])), ax=ax)
    drawn(ax)
    assert len(labels(ax)) == 1


def test_what_cannot_be_drawn_is_said() -> None:
    diverged = synthetic.study(synthetic.result(CONFIG, [-1, -1]))
    for draw in (plots.collisions, plots.unrepresented, plots.counts):
        with pytest.raises(ValueError, match="a seed that did not diverge"):
            draw(diverged)
    for draw in (plots.collisions, plots.unrepresented):
        with pytest.raises(ValueError, match="a seed that did not diverge"):
            draw(fp.Study())
        with pytest.raises(TypeError, match=r"study must be a Study, got Config"):
            draw(CONFIG)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"heat_map: matrix must be an array with 2 axes"):
        plots.heat_map([1, 2])
    with pytest.raises(ValueError, match="config must be given for a study of 3 configs"):
        plots.counts(study())
    with pytest.raises(KeyError, match="does not contain"):
        plots.counts(study(), "abc")
    assert not plt.get_fignums()


def test_pyplot_is_left_alone_when_axes_are_given(ax: Axes) -> None:
    mine = plt.figure()
    before = dict(matplotlib.rcParams)
    plots.collisions(study(), ax)
    assert plt.get_fignums() == [mine.number]
    assert plt.gcf() is mine
    assert not mine.axes
    assert dict(matplotlib.rcParams) == before


def test_without_axes_pyplot_makes_a_figure() -> None:
    ax = plots.collisions(study())
    assert plt.gca() is ax
    assert plt.get_fignums() == [1]


def test_several_figures_in_one(ax: Axes) -> None:
    axes = Figure().subplots(1, 2)
    plots.collisions(study(), axes[0])
    plots.counts(study(), CONFIG, axes[1])
    drawn(axes[0])
    assert axes[1].get_ylabel() == "share of seeds"


def test_collisions_shades_percentiles_of_seeds(ax: Axes) -> None:
    made = study()
    plots.collisions(made, ax, band=(15, 85))
    drawn(ax)
    assert "seeds, percentiles 15 to 85" in labels(ax)
    wide = ax.collections[-1].get_segments()
    ends = [np.percentile(made.values(config), (15, 85)) for config in made.configs]
    for segment, pair, m in zip(wide, ends, WIDTHS, strict=True):
        assert segment.tolist() == [[m, pair[0]], [m, pair[1]]]


def test_unrepresented_shows_shares(ax: Axes) -> None:
    missing = {"unrepresented": np.array([16, 48], dtype=np.int32)}
    plots.unrepresented(synthetic.study(synthetic.result(CONFIG, [5, 6], **missing)), ax)
    drawn(ax)
    assert bars(ax)[0].lines[0].get_ydata() == pytest.approx([0.5])
    assert ax.get_ylabel() == "features unrepresented"
    low, high = ax.get_ylim()
    assert low == -0.05
    assert high >= 1.05


def test_heat_map_has_a_scale(ax: Axes) -> None:
    matrix = [[0.5, -2.0, 0.0]]
    plots.heat_map(matrix, ax, label="weight")
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), matrix)
    assert image.get_clim() == (-2, 2)
    assert ax.figure.axes[1].get_ylabel() == "weight"
    clipped: Axes = Figure().subplots()
    plots.heat_map(matrix, clipped, limit=1)
    assert clipped.images[0].get_clim() == (-1, 1)


def test_panels_take_the_place_of_axes() -> None:
    left, right = Figure().subplots(1, 2)
    grid = plots.panels(right, 2, 3, (1, 1), sharex=True, width_ratios=[1, 2, 1])
    assert grid.shape == (2, 3)
    assert {one.figure for one in grid.flat} == {left.figure}
    assert not right.axison
    place = right.get_position()
    assert all(place.x0 <= one.get_position().x0 <= place.x1 for one in grid.flat)
    with pytest.raises(ValueError, match="must be one of a figure's subplots"):
        plots.panels(Figure().add_axes((0, 0, 1, 1)), 1, 1, (1, 1))


MODEL = np.array(
    # neurons: benign, dead, malign (a third feature of the other sign), single
    [
        [0.9, 0.1, 0.0, 0.0],
        [0.0, 0.0, 1.1, 0.0],
        [0.0, 0.3, 0.0, -1.0],
        [-1.2, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.8, 0.0],
        [0.0, 0.0, -1.0, 0.0],
        [0.5, 0.5, 0.0, 0.0],
    ]
)


def marked(ax: Axes) -> dict[tuple[float, float], tuple[str, bool]]:
    """Colour of each mark and whether it points up, by its place."""
    found = {}
    for one in ax.collections:
        color = matplotlib.colors.to_hex(one.get_facecolor()[0]).upper()
        up = one.get_paths()[0].vertices[0, 1] > 0
        for column, row in np.asarray(one.get_offsets()):
            found[float(column), float(row)] = color, bool(up)
    return found


def test_collision_map_tells_benign_from_malign(ax: Axes) -> None:
    assert plots.collision_map(MODEL, ax) is ax
    drawn(ax)
    malign, benign, single = weights._KIND_COLORS
    assert marked(ax) == {
        (0.0, 0.0): (malign, True),
        (0.0, 1.0): (malign, True),
        (0.0, 2.0): (malign, False),
        (1.0, 3.0): (benign, True),
        (1.0, 4.0): (benign, False),
        (2.0, 5.0): (single, False),
    }
    assert labels(ax)[:3] == ["malign: 1", "benign: 1", "one feature: 1"]
    assert "1 dead ones" in ax.get_xlabel()
    assert "1 unrepresented" in ax.get_ylabel()
    formatter = ax.xaxis.get_major_formatter()
    assert [formatter(x) for x in (0, 1, 2, 3, 0.5, -1)] == ["2", "0", "3", "", "", ""]


def test_collision_map_of_shared_neurons_only(ax: Axes) -> None:
    plots.collision_map(MODEL, ax, shared_only=True)
    assert len(marked(ax)) == 5
    assert labels(ax)[2] == "one feature: 1"
    assert "2 others not shown" in ax.get_xlabel()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("form", ["an array", "a list of arrays", "untied"])
def test_collision_map_counts_by_the_rule(dtype: type, form: str, ax: Axes) -> None:
    weights: Any = MODEL.astype(dtype)
    if form == "a list of arrays":
        weights = list(weights)
    elif form == "untied":
        weights = fp.Parameters(weights, weights)
    plots.collision_map(weights, ax)
    kinds = [int(text.rpartition(" ")[2]) for text in labels(ax)[:3]]
    assert kinds[0] + kinds[1] == fp.count_polysemantic(weights) == 2
    assert MODEL.shape[1] - sum(kinds) == fp.metrics.count_dead(weights)
    narrow: Axes = Figure().subplots()
    plots.collision_map(weights, narrow, low=0.85, high=1.15)
    assert labels(narrow)[:3] == ["malign: 0", "benign: 1", "one feature: 2"]


def test_collision_map_of_an_untied_model_and_of_nothing(ax: Axes) -> None:
    plots.collision_map(fp.Parameters(2 * MODEL, MODEL / 2), ax)
    assert len(marked(ax)) == 6
    empty: Axes = Figure().subplots()
    plots.collision_map(np.zeros((3, 4)), empty, shared_only=True)
    drawn(empty)
    assert not marked(empty)
    with pytest.raises(ValueError, match=r"plots\.collision_map: weights must be an array with 2"):
        plots.collision_map(MODEL[0])
    for draw in (plots.collision_map, plots.superposition):  # not as a stack of two models
        with pytest.raises(TypeError, match=r"weights must be an array or Parameters\(...\)"):
            draw((MODEL, MODEL))


def images(ax: Axes) -> list[np.ndarray]:
    return [np.asarray(one.images[0].get_array()) for one in ax.figure.axes if one.images]


def test_weights_over_time_shows_what_training_passes_through(ax: Axes) -> None:
    config = fp.Config(n_features=6, n_hidden=12, l1=1e-2, learning_rate=1e-2, steps=2000)
    assert plots.weights_over_time(config, 3, [2000, 0, 500], ax, num_threads=1) is ax
    drawn(ax)
    titles = [one.get_title() for one in ax.figure.axes if one.images]
    assert titles == ["start", "step 500", "step 2,000"]
    last = fp.train(config, [3], return_weights=True).weights[0]
    start = fp.train(config.replace(steps=0), [3], return_weights=True).weights[0]
    shown = images(ax)
    for image, matrix in ((shown[0], start), (shown[-1], last)):
        np.testing.assert_array_equal(np.sort(image.ravel()), np.sort(matrix.ravel()))
    # One order for all: the winners are where they are in the last picture, on a staircase.
    row = {tuple(sorted(w)): index for index, w in enumerate(last.tolist())}
    features = [row[tuple(sorted(w))] for w in shown[-1].tolist()]
    np.testing.assert_array_equal(np.sort(shown[0], axis=1), np.sort(start[features], axis=1))
    winners = np.argwhere(np.abs(shown[-1]) >= 0.8)
    assert len(winners) > 3
    assert (np.diff(winners[:, 1]) >= 0).all()


def test_weights_over_time_by_default_and_of_an_untied_model() -> None:
    config = fp.Config(n_features=4, n_hidden=8, l1=1e-2, steps=1000, tied=False)
    ax = plots.weights_over_time(config, num_threads=1)
    shown = images(ax)
    assert len(shown) == 6
    last = fp.train(config, 1, return_weights=True).weights
    effective = fp.metrics.effective_weights(last.encoder[0], last.decoder[0])
    np.testing.assert_array_equal(np.sort(shown[-1].ravel()), np.sort(effective.ravel()))


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("l1_schedule", [(0, 0.0), (400, 1.0)]),
        ("l1_schedule", [(300, 1.0), (301, 0.0)]),
        ("learning_rate_schedule", [(0, 0.0), (400, 1.0)]),
        ("learning_rate_schedule", "cosine"),
    ],
    ids=str,
)
def test_weights_over_time_along_a_schedule(name: str, schedule: object, ax: Axes) -> None:
    config = fp.Config(n_features=4, n_hidden=8, l1=1e-2, steps=400, **{name: schedule})
    plots.weights_over_time(config, steps=[0, 200, 400], ax=ax, num_threads=1)
    seen = fp.train(config, 1, record=("l1_norm", [0, 200, 400])).history["l1_norm"][0]
    sizes = [np.abs(image.astype(np.float64)).sum() for image in images(ax)]
    assert sizes == pytest.approx(seen, rel=1e-6)


def test_weights_over_time_refuses_what_it_cannot_show() -> None:
    config = fp.Config(n_features=4, n_hidden=8, steps=10)
    with pytest.raises(ValueError, match=r"weights_over_time: steps\[1\] must be .* <= 10, got 11"):
        plots.weights_over_time(config, steps=[0, 11])
    with pytest.raises(ValueError, match="at least one step"):
        plots.weights_over_time(config, steps=[])
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        plots.weights_over_time(config, -1)
    wild = config.replace(optimizer="sgd", learning_rate=1e6)
    with pytest.raises(ValueError, match="must not diverge, but did by step 10"):
        plots.weights_over_time(wild, steps=[0, 10])
    assert not plt.get_fignums()


def test_save_writes_what_the_ending_says(tmp_path: Path) -> None:
    contents = []
    for name in ("a.svg", "b.svg"):
        ax = Figure().subplots()
        plots.collisions(study(), ax)
        contents.append(plots.save(ax, tmp_path / name).read_bytes())
    assert contents[0] == contents[1]  # no date, no random names
    assert b"<svg" in contents[0]
    assert plots.save(ax, tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_study_and_no_axes() -> None:
    for draw in (fp.plots.collisions, fp.plots.counts):
        with pytest.raises(TypeError, match="study must be a Study, got None"):
            draw(None)
    with pytest.raises(ValueError, match="study must hold a seed that did not diverge"):
        fp.plots.collisions(fp.Study())
    with pytest.raises(TypeError, match="plots: ax must be matplotlib axes or None, got 'a'"):
        fp.plots.heat_map([[1.0]], "a")


NETWORKS = fp.collect(fp.NetworkConfig(widths=(2, 2, 2), steps=1), seeds=2, progress=False)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: plots.curve(s, band=5), "curve: band must be two percentiles, got 5"),
        (lambda s: plots.curve(s, band=(1,)), r"band must be two percentiles, got \(1,\)"),
        (lambda s: plots.curve(s, band=(-1, 5)), r"band\[0\] must be a finite number >= 0 .* -1"),
        (lambda s: plots.curve(s, band=(5, np.nan)), r"band\[1\] must be a finite .* got nan"),
        (lambda s: plots.collisions(s, band=("a", 5)), r"collisions: band\[0\] must be .* 'a'"),
        (lambda s: plots.curve(s, band=(85, 15)), "band must be two ascending percentiles"),
        (lambda s: plots.counts(s, CONFIG, metric="loss"), "counts: metric must be .* got 'loss'"),
        (lambda s: plots.front(NETWORKS, x="nope"), "front: x must be one of 'loss'.* got 'nope'"),
        (lambda s: plots.front(NETWORKS, y=3), "front: y must be one of 'loss'.* got 3"),
        (lambda s: plots.sharing(NETWORKS, metric="no"), "sharing: metric must be .* got 'no'"),
        (lambda s: plots.heat_map(np.zeros((0, 2))), "matrix must be an array with an entry or"),
        (lambda s: plots.heat_map([[1.0]], limit=0), "limit must be a finite number > 0, got 0"),
        (lambda s: plots.collision_map(np.zeros((0, 0))), "weights must have features and neurons"),
        (lambda s: plots.superposition(np.zeros((0, 4, 3))), "weights must be of a model or more"),
        (lambda s: plots.use_map(s), "use_map: measures must be the result of fp.measure, got <S"),
        (lambda s: plots.response_map(None), "response_map: measures must be .*, got None"),
        (lambda s: plots.neuron_map(3), "neuron_map: measures must be .*, got 3"),
        (lambda s: plots.training_curves(s), "result must be a TrainingResult, got <Study"),
        (lambda s: plots.training_curves(fp.train(CONFIG, 1)), "a NetworkConfig, got Config"),
        (lambda s: plots.save(3, "a.png"), "save: ax must be matplotlib axes, got 3"),
        (lambda s: plots.save(Figure().subplots(), "a.foo"), "ending .* one of .* got 'foo'"),
    ],
)
def test_arguments_of_figures(call: Callable[[Any], object], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        call(study())
    assert not plt.get_fignums()


def test_a_width_of_which_all_seeds_diverged_is_marked(ax: Axes) -> None:
    wide = CONFIG.replace(n_hidden=32)
    study = synthetic.study(synthetic.result(CONFIG, [-1, -1]), synthetic.result(wide, [1, 2]))
    fp.plots.collisions(study, ax)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "no value: all seeds diverged" in texts
    crosses = [line for line in ax.get_lines() if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[CONFIG.n_hidden]]


def test_counts_takes_a_config_of_equal_effect(ax: Axes) -> None:
    config = CONFIG.replace(weight_decay=0.01)  # what None stands for
    assert config != CONFIG
    assert config.digest == CONFIG.digest
    plots.counts(synthetic.study(synthetic.result(CONFIG, [1, 2, 3])), config, ax)
    assert any("3 seeds" in text for text in labels(ax))
    with pytest.raises(KeyError, match="does not contain"):
        plots.counts(synthetic.study(synthetic.result(CONFIG, [1])), CONFIG.replace(l1=0.5), ax)


# Curves of any question.


def varied(count: int = 20, **varying: list[object]) -> fp.Study:
    """Counts that depend on every setting."""
    rng = np.random.default_rng(1)
    made = []
    for index, config in enumerate(fp.grid(CONFIG, **varying)):
        made.append(synthetic.result(config, rng.poisson(3 + index % 5, count)))
    return synthetic.study(*made)


def shown_axes(ax: Axes) -> list[Axes]:
    return [one for one in ax.figure.axes if one.axison]


def test_curve_takes_x_y_hue_and_a_selection(ax: Axes) -> None:
    made = varied(dropout=[0.0, 0.1, 0.3], optimizer=["adam", "adamw"], n_hidden=[64, 128])
    select = {"n_hidden": 128}
    plots.curve(made, x="dropout", y="signed_slots", hue="optimizer", select=select, ax=ax)
    drawn(ax)
    table = made.select(n_hidden=128).summary("signed_slots")
    for name, bar in zip(("adam", "adamw"), bars(ax), strict=True):
        rows = table[table["optimizer"] == name]
        np.testing.assert_allclose(bar.lines[0].get_xdata(), [0, 0.1, 0.3], atol=0.01)
        np.testing.assert_allclose(np.asarray(bar.lines[0].get_ydata(), float), rows["mean"])
    assert labels(ax)[:2] == ["optimizer=adam", "optimizer=adamw"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("dropout", "shared neurons")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.1", "0.3"]
    with pytest.raises(
        ValueError, match=r"plots\.curve: hue must be one of .*did you mean 'dropout'"
    ):
        plots.curve(made, hue="drop_out")
    with pytest.raises(TypeError, match=r"plots\.curve: select must be a mapping"):
        plots.curve(made, select=["n_hidden"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"plots\.curve: yscale must be one of"):
        plots.curve(made, yscale="logarithmic")  # type: ignore[arg-type]


def test_collisions_is_a_curve(ax: Axes) -> None:
    made = study(l1=[1e-3, 1e-2])
    plots.collisions(made, ax, select={"l1": 1e-3})
    other: Axes = Figure().subplots()
    plots.curve(made, x="n_hidden", y="polysemantic", yscale="log", select={"l1": 1e-3}, ax=other)
    for one, two in zip(bars(ax), bars(other), strict=True):
        np.testing.assert_array_equal(one.lines[0].get_xydata(), two.lines[0].get_xydata())


def test_colours_and_markers_stand_for_different_settings(ax: Axes) -> None:
    made = varied(n_hidden=[64, 128], optimizer=["adam", "adamw"], l1=[1e-3, 1e-2, 1e-1])
    plots.curve(made, x="n_hidden", hue="optimizer", ax=ax)
    lines = [bar.lines[0] for bar in bars(ax)]
    assert len(lines) == 6
    assert len({line.get_color() for line in lines}) == 2
    assert len({line.get_marker() for line in lines}) == 3
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 6
    # In grey the dashes tell colours apart.
    assert {(line.get_color(), line.get_linestyle()) for line in lines} == {
        (plots.COLORS[0], "-"),
        (plots.COLORS[1], "--"),
    }
    entries = ["optimizer=adam", "optimizer=adamw", "l1=0.001", "l1=0.01", "l1=0.1"]
    assert labels(ax)[:5] == entries
    assert len(set(plots.COLORS)) == len(set(plots.MARKERS)) == len(set(plots.DASHES)) == 8
    assert plots.look(1) == {"color": "#D55E00", "marker": "s", "ls": "--"} == plots.look(9)
    assert plots.look(2, "marker", "color") == {"marker": "D", "color": "#009E73"}
    with pytest.raises(ValueError, match=r"plots\.look: parts must be one of .*'colour'"):
        plots.look(2, "colour")
    with pytest.raises(ValueError, match=r"plots\.look: index must be .*-1"):
        plots.look(-1)


def test_series_of_numbers_ascend_and_stand_side_by_side(ax: Axes) -> None:
    made = synthetic.study(
        *(
            synthetic.result(CONFIG.replace(l1=l1, optimizer=optimizer), [3, 4, 5])
            for l1 in (1e-1, 0.0, 1e-2)
            for optimizer in ("adam", "adamw")
        )
    )
    plots.curve(made, x="optimizer", ax=ax)
    assert labels(ax)[:3] == ["l1=0", "l1=0.01", "l1=0.1"]
    first = [float(bar.lines[0].get_xdata()[0]) for bar in bars(ax)]
    assert first == pytest.approx([-0.12, 0, 0.12])


def test_eight_series_have_eight_looks(ax: Axes) -> None:
    plots.curve(varied(n_hidden=[64, 128], steps=list(range(1, 9))), x="n_hidden", ax=ax)
    lines = [bar.lines[0] for bar in bars(ax)]
    assert len({line.get_color() for line in lines}) == 8
    assert len({line.get_marker() for line in lines}) == 8


def test_more_than_eight_numbers_get_a_colour_scale(ax: Axes) -> None:
    rates = [1e-4 * 2**i for i in range(10)]
    plots.curve(varied(n_hidden=[64, 128], l1=rates), x="n_hidden", ax=ax)
    drawn(ax)
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "l1"
    assert bar.get_yscale() == "log"
    assert not {f"l1={one:g}" for one in rates} & set(labels(ax))
    colors = [matplotlib.colors.to_rgb(one.lines[0].get_color()) for one in bars(ax)]
    lightness = np.array(colors) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_panels_with_a_colour_scale_say_what_they_show() -> None:
    made = study(l1=[0.001 * 2**k for k in range(10)], dropout=[0.0, 0.1])
    ax = plots.unrepresented(made)  # no law, nothing collapsed: without an entry, no layout
    ax.figure.canvas.figure.savefig(io.BytesIO())
    entries = [
        text.get_text()
        for one in ax.figure.axes
        if (legend := one.get_legend())
        for text in legend.get_texts()
    ]
    assert entries == ["trained"]


def test_more_than_eight_series_get_panels() -> None:
    made = varied(
        2, n_hidden=[64, 128], optimizer=["adam", "adamw"], l1=[1e-3, 1e-2, 1e-1], dropout=[0, 0.5]
    )
    first = plots.curve(made, x="n_hidden", hue="optimizer")
    drawn(first)
    used = shown_axes(first)
    assert [one.get_title().replace("\n", " ") for one in used] == [
        f"l1={l1:g}, dropout={p:g}" for l1 in (1e-3, 1e-2, 1e-1) for p in (0, 0.5)
    ]
    assert [len(bars(one)) for one in used] == [2] * 6
    (legend,) = [one.get_legend() for one in first.figure.axes if one.get_legend()]
    assert [text.get_text() for text in legend.get_texts()][:2] == [
        "optimizer=adam",
        "optimizer=adamw",
    ]
    table = made.summary().set_index(["l1", "dropout", "optimizer", "n_hidden"])["mean"]
    means = [bars(one)[1].lines[0].get_ydata()[0] for one in used]
    expected = [table[l1, p, "adamw", 64] for l1 in (1e-3, 1e-2, 1e-1) for p in (0, 0.5)]
    np.testing.assert_allclose(np.asarray(means, float), expected)
    left, right = Figure().subplots(1, 2)
    assert plots.curve(made, x="n_hidden", hue="optimizer", ax=right) is right
    drawn(left)
    assert not right.axison
    many = varied(2, n_hidden=[64, 128], steps=list(range(1, 27)), optimizer=["adam", "adamw"])
    with pytest.raises(ValueError, match="at most 24 panels, got 26; optimizer, steps vary"):
        plots.curve(many, x="n_hidden", hue="optimizer")


def test_settings_that_follow_from_the_hue_are_no_series_of_their_own(ax: Axes) -> None:
    ways = [CONFIG.replace(optimizer="adam"), CONFIG.replace(optimizer="sgd", learning_rate=0.1)]
    made = synthetic.study(
        *(synthetic.result(one.replace(n_hidden=m), [1, 2]) for one in ways for m in WIDTHS)
    )
    plots.curve(made, hue="optimizer", ax=ax)
    assert labels(ax)[:2] == ["optimizer=adam", "optimizer=sgd"]


@pytest.mark.parametrize("style", ["default", *plt.style.available])
def test_collapsed_settings_are_marked_in_every_style(style: str) -> None:
    lost = {"unrepresented": np.full(4, 20, dtype=np.int32)}
    whole = synthetic.study(synthetic.result(CONFIG, [5, 6, 7, 8]))
    collapsed = synthetic.study(synthetic.result(CONFIG, [5, 6, 7, 8], **lost))
    pixels = []
    with plt.style.context(style):
        for made in (whole, collapsed):
            figure = Figure(figsize=(3, 3), dpi=100)
            ax = plots.collisions(made, figure.subplots())
            assert ("hollow: diverged or > 5 % unrepresented" in unwrapped(ax)) is (
                made is collapsed
            )
            ax.get_legend().remove()
            x, y = ax.transData.transform((64, 6.5)).round().astype(int)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            image = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)
            pixels.append(image[-y - 9 : -y + 9, x - 9 : x + 9])
    assert (np.abs(pixels[0] - pixels[1]).max(axis=2) > 100).sum() >= 8
    # There is an edge in the series' own colour.
    edge = np.array(matplotlib.colors.to_rgb(plots.COLORS[0])) * 255
    assert (np.abs(pixels[1] - edge).max(axis=2) < 60).sum() >= 8


def unwrapped(ax: Axes) -> list[str]:
    return [label.replace("\n", " ") for label in labels(ax)]


STRANGE = ["$", "a$b", "$x$", r"\$\frac{", "_hidden", "", "50 % & more", "a_b^c", "\n", "é" * 60]


def test_texts_of_metadata_are_shown_as_they_are() -> None:
    made = fp.Study()
    for index, text in enumerate(STRANGE[:8]):
        one = synthetic.study(synthetic.result(CONFIG.replace(steps=index + 1), [1, 2]))
        next(iter(one._holdings.values())).metadata["series"] = text
        made.add(one)
    for options in (
        {"x": "n_hidden", "hue": "series"},
        {"x": "series"},
        {"x": "series", "hue": "steps"},
    ):
        ax = plots.curve(made, ax=Figure().subplots(), **options)
        drawn(ax)
    ax = plots.curve(made, x="n_hidden", hue="series", ax=Figure().subplots())
    assert len([label for label in labels(ax) if "series=" in label]) == 8
    for text, bar in zip(STRANGE, bars(ax), strict=False):
        assert not str(bar.get_label()).startswith("_")
        assert text.replace("$", r"\$") in str(bar.get_label())


WIDE = {"l1": [1e-3, 1e-2], "optimizer": ["adam", "adamw"], "n_hidden": [64, 512, 4096]}


WHAT = ["few", "zeros", "eight", "scale", "panels", "names", "shares", "superposition", "map"]


@pytest.mark.parametrize("width", [3.4, 6.75])
@pytest.mark.parametrize("what", WHAT)
def test_nothing_is_cropped_and_legends_cover_no_data(width: float, what: str) -> None:
    figure = Figure(figsize=(width, 2.8), layout="constrained")
    ax = figure.subplots()
    lost = {"unrepresented": np.full(4, 20, dtype=np.int32)}
    if what == "few":
        plots.collisions(study(), ax)
    elif what == "zeros":
        configs = fp.grid(CONFIG, **WIDE)
        counts = [[4096 // c.n_hidden] * 4 if c.n_hidden < 4096 else [0] * 4 for c in configs]
        results = (synthetic.result(*each, **lost) for each in zip(configs, counts, strict=True))
        plots.collisions(synthetic.study(*results), ax, band=(15, 85))
    elif what == "eight":
        plots.curve(varied(n_hidden=[64, 128], steps=list(range(1, 9))), x="n_hidden", ax=ax)
    elif what == "scale":
        plots.curve(varied(n_hidden=[64, 128], steps=list(range(1, 20))), x="n_hidden", ax=ax)
    elif what == "panels":
        plots.curve(varied(4, steps=[1, 2, 3], **WIDE), hue="steps", ax=ax)
    elif what == "names":
        plots.curve(varied(noise_std=[0.1], noise=["gaussian", "rademacher", "laplace"]), ax=ax)
    elif what == "shares":
        plots.unrepresented(study(optimizer=["adam", "adamw"]), ax)
    elif what == "superposition":
        plots.superposition(np.vstack([np.eye(8), -np.eye(8)]), ax)
    else:
        plots.collision_map(MODEL, ax)
    check_layout(figure)


def test_what_is_0_on_a_logarithmic_horizontal_axis(ax: Axes) -> None:
    plots.curve(varied(l1=[0.0, 1e-3, 1e-2, 1e-1]), x="l1", ax=ax)
    drawn(ax)
    assert ax.get_xscale() == "symlog"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.001", "0.01", "0.1"]


def test_a_column_of_a_probe(ax: Axes) -> None:
    made = fp.collect(
        fp.grid(SMALL, n_hidden=[8, 16]), seeds=4, probe=probes.Largest(), progress=False
    )
    name = "above"
    plots.curve(made, y=name, ax=ax)
    (bar,) = bars(ax)
    means = made.summary(name)["mean"]
    np.testing.assert_allclose(np.asarray(bar.lines[0].get_ydata(), float), means)
    assert ax.get_ylabel() == name.replace("_", " ")
    with pytest.raises(ValueError, match=r"counts: metric must be one of .* got 'above'"):
        plots.counts(made, made.configs[0], metric=name)


# The weights of a model.


def test_superposition_shows_overlaps_norms_and_dimensionality(ax: Axes) -> None:
    pair = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5]])
    assert plots.superposition(pair, ax) is ax
    drawn(ax)
    overlaps, norms, shares = [one for one in shown_axes(ax) if one.get_label() != "<colorbar>"]
    np.testing.assert_allclose(overlaps.images[0].get_array(), pair @ pair.T)
    np.testing.assert_allclose(norms.get_lines()[0].get_xdata(), [1, 1, 0.5])
    np.testing.assert_allclose(shares.get_lines()[0].get_xdata(), [0.5, 0.5, 1])
    left, right = norms.get_xlim()  # marks at 0 and at the largest are whole
    assert left < 0
    assert right > np.linalg.norm(pair, axis=1).max() + 0.02
    stack = plots.superposition(np.stack([pair, 2 * pair]))
    drawn(stack)
    norms = shown_axes(stack)[1]
    np.testing.assert_allclose(norms.get_lines()[0].get_xdata(), [1.5, 1.5, 0.75])
    drawn(plots.superposition(fp.Parameters(2 * pair, pair / 2)))
    with pytest.raises(
        ValueError, match=r"plots\.superposition: weights must be an array with 2 or 3"
    ):
        plots.superposition([1.0])


def test_every_feature_and_neuron_of_a_small_model_is_numbered() -> None:
    pairs = np.eye(16, 20)
    pairs[9, [9, 3]] = 0, -1
    ax = plots.collision_map(pairs)
    drawn(ax)
    neurons = [text.get_text() for text in ax.get_xticklabels()]
    features = [text.get_text() for text in ax.get_yticklabels()]
    assert (neurons[0], features[:2]) == ("3", ["3", "9"])
    assert (len(neurons), len(features)) == (15, 16)
    many = plots.collision_map(np.eye(200))
    drawn(many)
    assert len(many.get_xticklabels()) < 20


@pytest.mark.parametrize("figure", [plots.collision_map, plots.superposition])
def test_transposed_weights_are_questioned(figure: Callable[..., Axes]) -> None:
    weights = np.eye(6, 10)
    weights[4, [1, 4]] = -1.0, 0.0
    drawn(figure(weights))  # warnings are errors here
    with pytest.warns(UserWarning, match=r"is it transposed\?"):
        figure(weights.T)


def test_a_model_without_represented_features_says_so(ax: Axes) -> None:
    plots.collision_map(np.full((2, 2), 0.5), ax)
    drawn(ax)
    assert [text.get_text() for text in ax.texts] == [
        "no neuron has a feature\nwith a |weight| of 0.8 to 1.2"
    ]


@pytest.mark.parametrize("width", [3.4, 6.75])
def test_the_legend_of_a_map_stays_above_its_own_axes(width: float) -> None:
    figure = Figure(figsize=(2 * width, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for each in (left, right):
        plots.collision_map(MODEL, each)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = left.get_legend().get_window_extent(canvas.get_renderer())
    assert box.x1 <= right.get_tightbbox(canvas.get_renderer()).x0


def test_rows_and_columns_are_counted_in_whole_numbers(ax: Axes) -> None:
    plots.heat_map(np.eye(3), ax)
    drawn(ax)
    for axis in (ax.xaxis, ax.yaxis):
        assert all(float(tick).is_integer() for tick in axis.get_majorticklocs())


def test_a_long_entry_does_not_take_the_figures_height() -> None:
    """Legends of four series and more get two columns, if need be with shorter lines."""
    figure = Figure(figsize=(3.2, 2.6), layout="constrained")
    rng = np.random.default_rng(1)
    configs = fp.grid(CONFIG, n_hidden=[64, 128, 256, 512], l1=[1e-3, 3e-3, 1e-2, 3e-2])
    made = [
        synthetic.result(one, rng.poisson(9 - 2 * at % 7, 30), unrepresented=np.full(30, 9))
        for at, one in enumerate(configs)
    ]
    ax = plots.curve(synthetic.study(*made), x="l1", hue="n_hidden", ax=figure.subplots())
    FigureCanvasAgg(figure).draw()
    assert ax.get_window_extent().height > 0.45 * figure.bbox.height  # 0.39 in one column


def test_the_norms_of_features_have_two_ticks_apart(ax: Axes) -> None:
    weights = 0.83 * np.eye(5, 7)
    first = plots.superposition(weights, ax)
    (norms,) = [one for one in first.figure.axes if one.get_xlim()[1] == pytest.approx(0.913)]
    assert [text.get_text() for text in norms.get_xticklabels()] == ["0", "0.8"]


def test_metadata_of_any_name_are_no_part_of_a_curve() -> None:
    names = {"band_low": 1, "band_high": 5, "at": 3, "hollow": True}
    configs = fp.grid(SMALL, n_hidden=[6, 8])
    plain, named = (
        plots.curve(fp.collect(configs, seeds=4, progress=False, metadata=metadata))
        for metadata in (None, names)
    )
    for ours, theirs in zip(plain.lines, named.lines, strict=True):
        np.testing.assert_array_equal(ours.get_xydata(), theirs.get_xydata())


def test_names_of_concepts_are_drawn_literally() -> None:
    config = fp.NetworkConfig(widths=(4, 4, 4))
    weights = fp.NetworkParameters([np.eye(4), np.eye(4)])
    names = ["costs $5_{$ or more", "other"]
    measures = fp.measure(weights, config, concepts=np.eye(4)[:, :2], names=names)
    ax = plots.response_map(measures)
    FigureCanvasAgg(ax.figure).draw()
    assert r"\$" in ax.get_yticklabels()[0].get_text()
