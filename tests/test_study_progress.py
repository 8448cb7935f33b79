"""How far things are, on terminals, in files and in notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastpolysem as fp
from fastpolysem import statistics
from fastpolysem.studies import Progress, blocks
from fastpolysem.studies import progress as shown
from helpers.dice import DiceConfig
from helpers.small_studies import CHILD, CONFIG, CONFIGS, small_blocks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_progress_is_quiet_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    fp.collect(CONFIG, seeds=9)
    fp.collect(CONFIG, seeds=9, progress=False)
    assert capsys.readouterr() == ("", "")
    fp.collect(CONFIG, seeds=9, progress=True)
    assert "1/1 configs, 9/9 seeds, done in" in capsys.readouterr().err


def test_plain_lines_come_seldom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "LINE_INTERVAL", 0.0)
    fp.collect(CONFIG, seeds=40, progress=True)
    assert len(capsys.readouterr().err.splitlines()) > 3
    monkeypatch.setattr(shown, "LINE_INTERVAL", 10.0)
    fp.collect(CONFIG, seeds=40, progress=True)
    assert len(capsys.readouterr().err.splitlines()) == 1


class Clock:
    """In place of the clock by which reports are paced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(shown, "time", types.SimpleNamespace(monotonic=lambda: self.now))

    def report(self, seconds: float, calls: list[Progress]) -> Callable[[Progress], None]:
        def report(record: Progress) -> None:
            self.now += seconds
            calls.append(record)

        return report


def test_a_slow_progress_function_takes_a_tenth_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = list(fp.iter_collect(CONFIG, seeds=9, num_threads=1))
    for seconds in (1e-3, 0.03, 3.0):
        clock, calls = Clock(monkeypatch), list[Progress]()
        with shown.reporter(clock.report(seconds, calls), "dead") as report:
            trained = 0.0
            while clock.now < 1000:
                report(records[1])
                trained += 0.02
                clock.now += 0.02
        assert seconds * (len(calls) - 1) <= 0.1 * clock.now + 0.1 + 1e-6
        # As often as may be: at each step, or a tenth of the time.
        assert len(calls) >= min(trained / 0.02, 0.095 * clock.now / seconds) - 1


def test_a_progress_function_slower_than_training_sees_the_start_and_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, calls = Clock(monkeypatch), list[Progress]()
    fp.collect(CONFIGS, seeds=40, num_threads=1, progress=clock.report(0.2, calls))
    assert [record.seeds for record in calls] == [0, 80]
    assert [record.finished for record in calls] == [False, True]


def test_a_slow_terminal_takes_a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    records = list(fp.iter_collect(CONFIG, seeds=9, num_threads=1))
    clock, calls = Clock(monkeypatch), list[Progress]()
    report = shown._now_and_then(clock.report(2.0, calls), shown.TABLE_INTERVAL, 0.0)
    while clock.now < 1000:
        report(records[1])
        clock.now += 0.02
    assert 40 < len(calls) <= 51


def test_intervals_are_computed_once_for_the_same_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is progress every few milliseconds, of configurations that have not changed."""
    original, calls = statistics.mean_from_moments, list[int]()

    def counted(count: int, *rest: Any, **options: Any) -> Any:
        calls.append(count)
        return original(count, *rest, **options)

    monkeypatch.setattr(statistics, "mean_from_moments", counted)
    monkeypatch.setattr(blocks, "_SPEED", 1.5e11)
    config = CONFIG.replace(n_hidden=64, steps=3000)
    records: list[Progress] = []
    fp.collect(config, seeds=300, progress=records.append, num_threads=1)
    assert len(records) > 4
    assert calls == [0, 300]


def test_the_table_shows_where_it_stands() -> None:
    from rich.console import Console

    record = list(fp.iter_collect(CONFIGS, seeds=9, num_threads=1))[-2]
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(shown.table(record, "polysemantic"))
    text = console.export_text()
    console.file.close()
    assert "n_hidden" in text
    assert "9/9" in text
    assert "seeds/s" in text
    assert "left" in text
    many = fp.grid(CONFIG, n_hidden=range(10, 40))
    short = shown.table(next(iter(fp.iter_collect(many, seeds=1))), "dead", max_rows=5)
    assert short.row_count == 6  # five, and one that says how many are left out


def on_a_terminal(tmp_path: Path, kind: str) -> str:
    """What a child that collects shows on a terminal of a kind."""
    pty = pytest.importorskip("pty")
    script = tmp_path / "script.py"
    script.write_text(CHILD.format(speed=1e8, steps=50, seeds=40))
    parent, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": kind}
    with subprocess.Popen(
        [sys.executable, script, tmp_path / "study"],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment,
    ) as process:
        os.close(terminal)
        seen = b""
        try:
            while part := os.read(parent, 10_000):
                seen += part
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait() == 0
    os.close(parent)
    return seen.decode()


def test_the_table_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    seen = on_a_terminal(tmp_path, "xterm")
    for part in ("n_hidden", "40/40", "done in", "\x1b["):
        assert part in seen


def test_a_dumb_terminal_gets_lines_without_control_characters(tmp_path: Path) -> None:
    seen = on_a_terminal(tmp_path, "dumb")
    assert "\x1b" not in seen
    (line,) = seen.splitlines()
    assert line.startswith("1/1 configs, 40/40 seeds, done in")


def test_a_log_file_gets_lines_if_asked(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CHILD.format(speed=1e8, steps=50, seeds=40))
    for progress, expected in [("True", 1), ("None", 0)]:
        script.write_text(script.read_text().replace("num_threads=1", f"progress={progress}"))
        log = tmp_path / f"{progress}.log"
        with log.open("w") as file:
            subprocess.run(
                [sys.executable, script, tmp_path / progress], stdout=file, stderr=file, check=True
            )
        *lines, last = log.read_text().splitlines()
        assert len(lines) == expected
        assert last == "done 40"
        script.write_text(script.read_text().replace(f"progress={progress}", "num_threads=1"))


class Shell:
    """Stands for the shell of a notebook, whatever its name: Colab's, Spyder's, Databricks'."""

    kernel = object()


def test_a_notebook_gets_one_output_that_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    shown_there: list[str] = []

    class Handle:
        def update(self, table: Any) -> None:
            shown_there.append(table._repr_mimebundle_([], [])["text/html"])

    def display(table: Any, display_id: bool) -> Handle:
        assert display_id
        handle = Handle()
        handle.update(table)
        return handle

    module = types.SimpleNamespace(
        get_ipython=Shell, display=types.SimpleNamespace(display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(shown, "NOTEBOOK_INTERVAL", 0.0)
    fp.collect(CONFIGS, seeds=9, num_threads=1)
    assert len(shown_there) > 3
    assert all("n_hidden" in html for html in shown_there)
    assert "done in" in shown_there[-1]


@pytest.mark.extra
def test_a_real_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = (
        "import fastpolysem as fp\n"
        "config = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=50)\n"
        "len(fp.collect(config, seeds=40))"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    drawn, value = notebook.cells[0].outputs
    assert "40/40" in drawn["data"]["text/html"]
    assert value["data"]["text/plain"] == "40"


def test_rate_and_time_left_are_of_this_run_only(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=400, path=tmp_path)
    first, *_, last = fp.iter_collect(CONFIG, seeds=440, path=tmp_path, num_threads=1)
    assert first.reused == 400
    assert (first.seeds_per_second, first.seconds_left) == (0, None)
    assert last.seeds_per_second == pytest.approx(40 / last.seconds)


def test_the_order_of_families_does_not_matter() -> None:
    """The displayed mean is that of the first default that all configurations have."""
    network = fp.NetworkConfig(widths=(3, 4, 3), steps=2)
    for configs in ([CONFIG, network], [network, CONFIG]):
        (*_, last) = fp.iter_collect(configs, seeds=4)
        expected = last.study.summary("polysemantic")["mean"]
        assert [one.mean for one in last.configs] == expected.tolist()
    with pytest.raises(
        ValueError, match=r"metric must be a column of all .* \(winners, polysemantic\)"
    ):
        fp.collect([DiceConfig(rows=2, columns=3), CONFIG], seeds=1)
