"""Figures of networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import fastpolysem as fp
from fastpolysem import measures
from fastpolysem.families.network.plots.studies import pareto
from fastpolysem.plots import (
    front,
    neuron_map,
    response_map,
    sharing,
    training_curves,
    use_map,
)
from helpers.figure_checks import check_layout

BASE = fp.NetworkConfig(widths=(4, 4, 4), l1=0.02, steps=40)


@pytest.fixture(scope="module")
def study() -> Any:
    configs = [
        BASE.replace(widths=(4, m, 4), activation=a) for m in (4, 8) for a in ("relu", "tanh")
    ]
    return fp.collect(configs, seeds=5, probe=measures.Controls())


def test_sharing_draws_the_means_of_the_study(study: Any) -> None:
    ax = sharing(study, hue="activation")
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2]
    summary = study.summary("shared_use").set_index("digest")["mean"]
    drawn = {float(y) for line in lines for y in line.get_ydata()}
    assert {float(v) for v in summary} <= drawn
    chance = study.seeds().groupby("widths")["shared_use_by_chance"].mean()
    assert ((chance >= 0) & (chance <= 1)).all()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    hollow = "hollow: diverged or > 5 % not learned"  # after 40 steps
    assert labels == ["by chance (dotted)", hollow, "activation relu", "activation tanh"]
    assert ax.get_xlabel() == "hidden neurons per layer"
    assert ax.get_xticks().tolist() == [4, 8]
    assert sharing(study, metric="effective_concepts").get_ylabel() == "effective concepts"


def test_controls_do_not_depend_on_blocks(study: Any) -> None:
    config = study.configs[0]
    result = fp.train(config, [3], return_weights=True)
    alone = measures.Controls()(result)
    rows = study.seeds()
    row = rows[(rows["digest"] == config.digest) & (rows["seed"] == 3)].iloc[0]
    for name, value in alone.items():
        assert value[0] == row[name], name
    found = fp.measure(result.weights, config)
    assert alone["shared_use_at_10"][0] == found.shared_use_of_layers(0.1).mean()


def test_controls_of_diverged_seeds_are_nan() -> None:
    steep = BASE.replace(optimizer="sgd", learning_rate=1e12)
    seeds = fp.collect([steep], seeds=3, probe=measures.Controls()).seeds()
    assert seeds["diverged"].all()
    assert seeds[list(measures.Controls.columns)].isna().to_numpy().all()
    # A diverged network among others, which keep their values.
    result = fp.train(BASE, 3, return_weights=True)
    before = measures.Controls()(result)
    result.diverged[1] = True
    result.weights.weights[0][1] = np.nan
    after = measures.Controls()(result)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], [values[0], np.nan, values[2]])
    with pytest.raises(ValueError, match="Controls: seed"):
        measures.Controls(seed=-1)


def test_counts_of_networks_are_of_their_first_column_of_counts(study: Any) -> None:
    ax = fp.plots.counts(study, study.configs[0], Figure().subplots())
    assert ax.get_xlabel().startswith("polysemantic")


def test_the_front_is_of_those_that_none_beats(study: Any) -> None:
    points = [(1, 5), (2, 2), (3, 3), (4, 1), (2, 2), (5, 1)]
    assert pareto(points).tolist() == [True, True, False, True, True, False]
    assert pareto([(1, np.nan), (2, 2)]).tolist() == [False, True]
    ax = front(study, hue="activation")
    assert ax.get_xlabel() == "loss"
    assert [t.get_text() for t in ax.get_legend().get_texts()].count("front") == 1


def test_training_curves_have_a_line_a_layer() -> None:
    names = ["shared_use", "shared_use_1", "shared_use_2"]
    config = BASE.replace(widths=(4, 6, 6, 4))
    result = fp.train(config, 3, record=(names, [0, 20, 40]))
    ax = training_curves(result)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        *("layer 1", "layer 2", "all layers")
    ]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), result.history["shared_use_1"].mean(axis=0))
    alone = training_curves(fp.train(BASE, 3, record=(["loss"], [0, 40])), "loss")
    assert [t.get_text() for t in alone.get_legend().get_texts()] == [
        "mean and middle 70 % of seeds"
    ]
    with pytest.raises(ValueError, match=r"one that is recorded .shared_use, shared_use_1"):
        training_curves(result, "loss")
    steep = config.replace(optimizer="sgd", learning_rate=1e12)
    with pytest.raises(ValueError, match="a seed that did not diverge"):
        training_curves(fp.train(steep, 2, record=(names, [0])))


def test_neurons_are_coloured_by_what_they_serve() -> None:
    eye = np.eye(3)
    shared = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    config = fp.NetworkConfig(widths=(3, 3, 3))
    found = fp.measure(fp.NetworkParameters([shared, np.diag([0.5, 1, 1]) @ shared.T]), config)
    ax = neuron_map(found)
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["0 concepts", "1 concept", "2 concepts"]
    single = neuron_map(fp.measure(fp.NetworkParameters([eye, eye]), config))
    assert [t.get_text() for t in single.get_legend().get_texts()] == ["1 concept"]
    tied = config.replace(tied=True)
    ax = neuron_map(fp.measure(fp.NetworkParameters([eye]), tied))
    lines = [
        line for c in ax.collections if isinstance(c, LineCollection) for line in c.get_segments()
    ]
    assert [line[:, 0].tolist() for line in lines] == [[0, 1]] * 3 + [[1, 2]] * 3
    assert all(line[0, 1] == line[1, 1] for line in lines)  # an identity


@pytest.mark.parametrize("width", [3.4, 6.75])
def test_nothing_is_cropped_and_legends_cover_no_data(study: Any, width: float) -> None:
    result = fp.train(BASE, 3, record=(["loss"], [0, 40]), return_weights=True)
    measured = fp.measure(result.weights, BASE)
    draw: list[Callable[[Axes], Axes]] = [
        lambda ax: sharing(study, ax, hue="activation"),
        lambda ax: front(study, ax=ax, hue="activation"),
        lambda ax: training_curves(result, "loss", ax),
        lambda ax: neuron_map(measured, ax=ax),
        lambda ax: use_map(measured, ax=ax),
        lambda ax: response_map(measured, ax=ax),
    ]
    for each in draw:
        figure, ax = plt.subplots(figsize=(width, 2.6), layout="constrained")
        each(ax)
        check_layout(figure)
        if ax.get_legend() and ax.axison:
            box = ax.get_legend().get_window_extent()
            assert not any(
                box.contains(*point)
                for line in ax.lines
                for point in line.get_transform().transform(line.get_xydata())
            ), each
        plt.close(figure)


def test_neuron_map_refuses_weights() -> None:
    with pytest.raises(TypeError, match=r"plots\.neuron_map: measures must be the result of"):
        neuron_map(np.eye(3))


def test_a_response_map_marks_what_is_negative() -> None:
    config = fp.NetworkConfig(widths=(2, 3, 2), activation="linear")
    found = fp.measure(
        fp.NetworkParameters([[[1.0, -1.0, 0.0], [0.0, 0.1, 2.0]], np.ones((3, 2))]), config
    )
    ax = response_map(found)
    shown = ax.images[0].get_array()
    np.testing.assert_allclose(np.sort(shown, axis=None), [0, 0, 0.05, 0.5, 0.5, 1], atol=1e-6)
    marks = [tuple(map(int, xy)) for line in ax.lines for xy in line.get_xydata()]
    assert len(marks) == 1
    assert shown[marks[0][1], marks[0][0]] == 0.5


def test_figures_of_networks_refuse_other_studies() -> None:
    study = fp.collect(fp.Config(n_features=4, n_hidden=4, steps=1), seeds=2)
    for figure in (sharing, front):
        with pytest.raises((TypeError, ValueError), match="a study of networks"):
            figure(study)
