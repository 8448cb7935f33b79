"""Data sets in folders of studies and files of results: stored once, found again, or named."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import families
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.losses import CrossEntropy
from fastpolysem.studies import attachments
from fastpolysem.studies.attachments import AttachmentError, Attachments
from fastpolysem.studies.store import DamagedStudyError, Store

ROWS = np.random.default_rng(0).normal(size=(12, 4))
CLASSES = np.arange(12) % 3
HELD_OUT = ROWS[:5] + 1, CLASSES[:5]


def config(factor: float = 1, **changes) -> NetworkConfig:
    data = Dataset(factor * ROWS, CLASSES, 4, held_out=HELD_OUT)
    return NetworkConfig(widths=(4, 5, 3), inputs=data, loss=CrossEntropy(), **changes)


@pytest.fixture
def study(tmp_path):
    """A folder with two configurations of one data set."""
    store = Store(tmp_path)
    for steps in (1, 2):
        store.write_config(config(steps=steps), {})
    return tmp_path


def data_file(study: Path) -> Path:
    (file,) = (study / "data").iterdir()
    return file


def elsewhere(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in a process that has not made any data set."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys, fastpolysem as fp\n{code}", *arguments],
        capture_output=True,
        text=True,
    )


OPENED = """
study = fp.Study.open(sys.argv[1])
for one in study.configs:
    print(one.digest, one.inputs.held_out[1].sum())
"""


def test_arrays_are_stored_once_under_their_hash(study):
    assert data_file(study).name == f"{config().inputs.sha256}.npz"
    before = data_file(study).stat()
    Store(study).write_config(config(steps=3), {})
    assert data_file(study).stat() == before
    Store(study).write_config(config(2, steps=3), {})
    assert len(list((study / "data").iterdir())) == 2
    for folder in study.iterdir():
        if folder.name != "data":
            assert len((folder / "config.json").read_text()) < 3000


def test_a_study_without_data_sets_has_no_folder_for_them(tmp_path):
    Store(tmp_path).write_config(NetworkConfig(widths=(2, 3, 2)), {})
    assert not (tmp_path / "data").exists()


def test_another_process_reads_them(study):
    done = elsewhere(OPENED, str(study))
    assert done.returncode == 0, done.stderr
    expected = {f"{config(steps=steps).digest} {HELD_OUT[1].sum()}" for steps in (1, 2)}
    assert set(done.stdout.splitlines()) == expected
    assert fp.Study.check(study) == []


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def others(file: Path) -> None:
    """Arrays in order, but not those of this hash."""
    (arrays,) = config(3).attachments.values()
    np.savez(file, **arrays)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DAMAGES = [
    (flip, "is corrupt"),
    (truncate, "is corrupt or truncated"),
    (others, "is corrupt: its arrays do not have the hash in its name"),
    (lambda file: file.write_bytes(b""), "is corrupt or truncated (it is not an .npz archive)"),
    (lambda file: file.write_bytes(b"text"), "is corrupt or truncated (it is not an .npz archive)"),
    (pipe, "is corrupt or truncated (it is not a regular file)"),
]


@pytest.mark.parametrize(
    ("damage", "reason"), DAMAGES, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_damaged_file_is_named(damage, reason, study):
    file = data_file(study)
    damage(file)
    folders = [study / config(steps=steps).digest for steps in (1, 2)]
    with pytest.raises(DamagedStudyError) as caught:
        fp.Study.open(study)
    assert {one.path for one in caught.value.damages} == {file, *folders}
    said = {one.path: one.reason for one in caught.value.damages}
    assert said[file].startswith(reason)
    assert said[folders[0]] == f"needs data/{file.name}, which {said[file]}"
    assert {one.path for one in fp.Study.check(study)} == {file, *folders}


def test_a_damaged_file_is_named_where_its_arrays_are_not_known(study):
    flip(data_file(study))
    done = elsewhere(OPENED, str(study))
    assert "DamagedStudyError" in done.stderr
    assert f"needs data/{data_file(study).name}, which is corrupt" in done.stderr


def test_a_missing_file_is_named(study):
    data_file(study).unlink()
    with pytest.raises(DamagedStudyError) as caught:
        fp.Study.open(study)
    (one, other) = caught.value.damages
    assert one.reason == f"needs data/{config().inputs.sha256}.npz, which is missing"
    assert {one.path, other.path} == {study / config(steps=steps).digest for steps in (1, 2)}


def test_a_missing_file_is_written_again(study):
    data_file(study).unlink()
    Store(study).write_config(config(steps=1), {})
    assert len(fp.Study.open(study).configs) == 2


def test_damaged_files_are_set_aside_with_what_needs_them(study):
    file = data_file(study)
    flip(file)
    Store(study).write_config(NetworkConfig(widths=(2, 3, 2)), {})
    with pytest.warns(UserWarning, match="moved to") as seen:
        opened = fp.Study.open(study, skip_damaged=True)
    assert len(seen) == 3
    assert [one.widths for one in opened.configs] == [(2, 3, 2)]
    assert (study / "set-aside" / "data" / file.name).exists()
    Store(study).write_config(config(steps=1), {})
    assert len(fp.Study.open(study).configs) == 2


def test_what_a_killed_writer_leaves_is_named_and_not_read(study):
    left = study / "data" / f".{data_file(study).name}.4711-0123abcd.tmp"
    left.write_bytes(b"half")
    (one,) = fp.Study.check(study)
    assert one.path == left
    assert one.reason.startswith("is incomplete")
    assert len(fp.Study.open(study).configs) == 2


def test_a_name_that_is_no_hash_leads_nowhere(study):
    folder = study / config(steps=1).digest
    content = json.loads((folder / "config.json").read_text())
    content["config"]["inputs"]["sha256"] = "../../secret"
    del content["sha256"]
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(
        DamagedStudyError, match=r"contains no valid config \('../../secret' is not a SHA-"
    ):
        Store(study).config(folder.name)


def test_what_workers_are_given(study):
    one = config(steps=1)
    assert attachments.given(NetworkConfig(widths=(2, 3, 2)), study) is None
    assert attachments.given(one, study) == str(study)
    assert list(attachments.given(one, None)) == [one.inputs.sha256]
    code = """
import pickle
from fastpolysem import families
from fastpolysem.studies.attachments import Attachments
mapping, folder, arrays = pickle.load(sys.stdin.buffer)
load = arrays.__getitem__ if folder is None else Attachments(folder).load
print(families.from_dict(mapping, attached=load).digest)
"""
    for folder, arrays in ((study, None), (None, attachments.given(one, None))):
        done = subprocess.run(
            [sys.executable, "-c", f"import sys\n{code}"],
            input=pickle.dumps((one.to_dict(), folder, arrays)),
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == one.digest


def test_errors_of_workers_can_be_sent_back(study):
    data_file(study).unlink()
    with pytest.raises(AttachmentError, match="is missing") as caught:
        Attachments(study).load(config().inputs.sha256)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path) == (str(caught.value), caught.value.path)


def result(one: NetworkConfig) -> fp.TrainingResult:
    """As if three seeds had been trained."""
    family = families.family_of(one)
    columns = {column.name: np.zeros(3, column.type) for column in family.columns(one)}
    return fp.TrainingResult(
        config=one,
        seeds=np.arange(3, dtype=np.uint64),
        diverged=np.zeros(3, dtype=bool),
        seconds=np.ones(3),
        **columns,
    )


def test_results_bring_their_data_set_along(tmp_path):
    one = config(4)
    result(one).save(tmp_path / "result.npz")
    code = "one = fp.TrainingResult.load(sys.argv[1]).config; print(one.digest, one.inputs.sha256)"
    done = elsewhere(code, str(tmp_path / "result.npz"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [one.digest, one.inputs.sha256]


def test_results_without_their_data_set_are_refused(tmp_path):
    result(config(5)).save(tmp_path / "result.npz")
    with np.load(tmp_path / "result.npz") as archive:
        kept = {name: archive[name] for name in archive if not name.startswith("attached.")}
    np.savez(tmp_path / "less.npz", **kept)
    done = elsewhere("fp.TrainingResult.load(sys.argv[1])", str(tmp_path / "less.npz"))
    assert "ValueError: TrainingResult.load: " in done.stderr
    assert f"the arrays of {config(5).inputs.sha256} have the hash" in done.stderr
