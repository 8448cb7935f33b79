"""TrainingResult: what it says of itself, and its file."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import pytest

import fastpolysem as fp

CONFIG = fp.Config(n_features=3, n_hidden=4, l1=1e-2, steps=5)
VARIANTS = {
    "plain": (CONFIG, {}),
    "weights": (CONFIG, {"return_weights": True}),
    "untied": (CONFIG.replace(tied=False, dtype="float64"), {"return_weights": True}),
    "bias": (CONFIG.replace(bias=True), {"return_weights": True}),
    "history": (CONFIG, {"record": (["loss", "polysemantic"], [0, 2, 5])}),
    "given weights": (CONFIG, {"initial_weights": np.ones((3, 4))}),
    "given noise": (
        CONFIG.replace(noise="gaussian", noise_std=0.1),
        {"noise_sequence": np.zeros((5, 4))},
    ),
    "batch": (CONFIG.replace(inputs=fp.FixedBatch(np.eye(3)[:2])), {}),
}


def parts(weights):
    return weights if isinstance(weights, fp.Parameters) else (weights,)


def equal(one, other) -> bool:
    """Whether two results are the same, bit for bit."""

    def same(a, b):
        if isinstance(a, np.ndarray):
            return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        return a == b

    return (
        all(
            same(getattr(one, field.name), getattr(other, field.name))
            for field in dataclasses.fields(one)
            if field.name not in ("weights", "history", "columns")
        )
        and list(one.columns) == list(other.columns)
        and all(same(one.columns[name], other.columns[name]) for name in one.columns)
        and list(one.history) == list(other.history)
        and all(same(one.history[name], other.history[name]) for name in one.history)
        and type(one.weights) is type(other.weights)
        and all(same(a, b) for a, b in zip(parts(one.weights), parts(other.weights), strict=True))
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seeds", [0, 3])
def test_saved_and_loaded_is_the_same(variant, seeds, tmp_path):
    config, options = VARIANTS[variant]
    result = fp.train(config, seeds, **options)
    path = tmp_path / "result"
    result.save(path)
    assert os.listdir(tmp_path) == ["result"]
    assert equal(fp.TrainingResult.load(path), result)
    assert equal(fp.TrainingResult.load(str(path)), result)


def test_saving_replaces_what_was_there(tmp_path):
    path = tmp_path / "result.npz"
    fp.train(CONFIG, 2).save(path)
    fp.train(CONFIG, 5).save(path)
    assert len(fp.TrainingResult.load(path)) == 5


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        fp.train(CONFIG, 1).save(tmp_path / "missing" / "result.npz")
    assert caught.value.filename == str(tmp_path / "missing" / "result.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder") as caught:
        fp.train(CONFIG, 1).save(tmp_path / "folder")
    assert "partial" not in str(caught.value)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_keeps_the_numerics_it_was_computed_with(tmp_path):
    old = dataclasses.replace(fp.train(CONFIG, 1), numerics_version=-7)
    old.save(tmp_path / "old")
    assert fp.TrainingResult.load(tmp_path / "old").numerics_version == -7


def test_shapes_and_types():
    result = fp.train(CONFIG, [5, 2**64 - 1, 0], record=("loss", [5, 0, 5]), return_weights=True)
    assert len(result) == 3
    assert result.seeds.tolist() == [5, 2**64 - 1, 0]
    for name, dtype in {
        **dict.fromkeys(("polysemantic", "benign", "malign", "dead", "unrepresented"), np.int64),
        **dict.fromkeys(("signed_slots", "signed_slots_benign"), np.int64),
        **dict.fromkeys(("nonzeros", "steps_taken"), np.int64),
        **dict.fromkeys(("loss", "residual", "seconds"), np.float64),
        "diverged": np.bool_,
        "seeds": np.uint64,
    }.items():
        assert getattr(result, name).shape == (3,)
        assert getattr(result, name).dtype == dtype, name
    assert result.weights.shape == (3, 3, 4)
    assert result.weights.dtype == np.float32
    assert result.history["step"].tolist() == [0, 5]
    assert result.history["loss"].shape == (3, 2)
    assert result.kernel in ("generic", "dense", "sparse", "lanes")
    assert result.numerics_version == fp.NUMERICS_VERSION
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.loss = None


def test_nothing_asked_for_is_nothing_given():
    result = fp.train(CONFIG, 1)
    assert result.weights is None
    assert result.history == {}


def test_the_seeds_of_a_count_are_the_first_ones():
    assert fp.train(CONFIG, 3).seeds.tolist() == [0, 1, 2]
    assert fp.train(CONFIG, np.int64(2)).seeds.tolist() == [0, 1]


@pytest.mark.parametrize(
    "seeds", [[7, 3], (7, 3), np.array([7, 3]), np.array([7, 3], np.uint8), range(7, 0, -4)]
)
def test_seeds_in_any_form(seeds):
    assert fp.train(CONFIG, seeds).seeds.tolist() == [7, 3]


def test_repr():
    result = fp.train(CONFIG, 3)
    stated = dataclasses.replace(
        result, polysemantic=np.array([1, 3, -1]), diverged=np.array([False, False, True])
    )
    assert repr(stated) == (
        "<TrainingResult: 3 seeds, polysemantic 2 ± 1 (standard error), 1 diverged, "
        f"kernel {result.kernel!r}, {CONFIG!r}>"
    )
    assert "polysemantic 0, 0 diverged" in repr(fp.train(CONFIG, 1))
    assert "no counts" in repr(fp.train(CONFIG, 0))


def test_a_result_knows_what_it_was_given(tmp_path):
    noisy = CONFIG.replace(noise="gaussian", noise_std=0.1)
    weights, noise = np.ones((3, 4)), np.zeros((5, 4))
    for options, given in [
        ({}, ()),
        ({"initial_weights": weights}, ("initial_weights",)),
        ({"noise_sequence": noise}, ("noise_sequence",)),
        (
            {"noise_sequence": noise, "initial_weights": weights},
            ("initial_weights", "noise_sequence"),
        ),
    ]:
        result = fp.train(noisy, 2, **options)
        assert result.given == given
        for text in (repr(result), result._repr_html_()):
            assert (f", given {' and '.join(given)}" in text) == bool(given)
        result.save(tmp_path / "result")
        loaded = fp.TrainingResult.load(tmp_path / "result")
        assert loaded.given == given
        for one in (result, loaded, dataclasses.replace(loaded, kernel="")):
            study = fp.Study()
            if given:
                with pytest.raises(ValueError, match=f"from given {' and '.join(given)}"):
                    study.add(one)
                assert len(study) == len(study.configs) == 0
            else:
                study.add(one)
                assert len(study) == 2


def test_a_file_without_what_was_given_is_read(tmp_path):
    path = tmp_path / "result.npz"
    fp.train(CONFIG, 2).save(path)
    with np.load(path) as archive:
        arrays = {name: values for name, values in archive.items() if name != "given"}
    np.savez(path, **arrays)
    assert fp.TrainingResult.load(path).given == ()


def test_progress_ends_with_the_total():
    calls = []
    fp.train(CONFIG, 4, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (4, 4)
    assert all(total == 4 for _, total in calls)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_what_progress_raises_comes_out():
    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fp.train(CONFIG, 2, progress=stop)


@pytest.mark.parametrize("form", [list, tuple, np.array, iter])
def test_records_in_any_form(form):
    record = fp.Record(form(["loss", "dead"]), np.array([3, 1]))
    assert record.metrics == ("loss", "dead")
    assert record.steps == (1, 3)
    assert fp.Record("loss", range(2)) == fp.Record(["loss"], [1, 0, 1])


def refused(path):
    with pytest.raises(ValueError, match="is not a complete file") as caught:
        fp.TrainingResult.load(path)
    assert str(path) in str(caught.value)


def test_foreign_files_are_named(tmp_path):
    path = tmp_path / "foreign.npz"
    for content in (b"", b"hello", b"PK\x03\x04", b"\x93NUMPY"):
        path.write_bytes(content)
        refused(path)
    np.savez(path, a=np.zeros(3))
    refused(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    refused(path)
    np.savez(path, format=np.array([{}], dtype=object))
    refused(path)


def test_what_is_no_path():
    with pytest.raises(TypeError, match=r"TrainingResult\.load: path must be a path, got None"):
        fp.TrainingResult.load(None)
    with pytest.raises(TypeError, match=r"TrainingResult\.save: path must be a path, got 3"):
        fp.train(CONFIG, 1).save(3)


def test_a_missing_file_is_just_that(tmp_path):
    with pytest.raises(FileNotFoundError):
        fp.TrainingResult.load(tmp_path / "none")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "something else"},
        {"config": "{"},
        {"config": json.dumps({"n_features": 3})},
        {"config": json.dumps({"n_features": 3, "n_hidden": 5})},
        {"config": json.dumps(CONFIG.to_dict() | {"new_field": 1})},
        {"polysemantic": np.zeros(2, dtype=np.int64)},
        {"polysemantic": np.zeros(3)},
        {"seeds": np.zeros((3, 1), dtype=np.uint64)},
        {"loss": None},
        {"given": np.array(["initial_weight"])},
        {"given": np.array(["noise_sequence", "initial_weights"])},
        {"given": np.zeros(2)},
        {"history.loss": np.zeros((3, 1))},
        {"history.step": None},
        {"weights.encoder": np.zeros((3, 4, 3), dtype=np.float32)},
        {"weights.encoder": np.zeros((3, 3, 4))},
    ],
    ids=str,
)
def test_files_that_do_not_fit_are_refused(change, tmp_path):
    path = tmp_path / "result.npz"
    fp.train(CONFIG, 3, return_weights=True, record=("loss", [0, 5])).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays)
    assert len(fp.TrainingResult.load(path)) == 3
    arrays = {name: value for name, value in (arrays | change).items() if value is not None}
    np.savez(path, **arrays)
    refused(path)


def test_damaged_files_are_never_taken_for_good_ones(tmp_path):
    path = tmp_path / "result.npz"
    original = fp.train(CONFIG, 2, return_weights=True)
    original.save(path)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for end in rng.integers(0, len(good), 40):
        path.write_bytes(good[:end])
        refused(path)
    caught = 0
    for place in rng.integers(0, len(good), 300):
        bad = bytearray(good)
        bad[place] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        try:
            loaded = fp.TrainingResult.load(path)
        except ValueError:
            caught += 1
            refused(path)
        else:
            assert equal(loaded, original)  # the bit was one that the format does not use
    assert caught > 100
