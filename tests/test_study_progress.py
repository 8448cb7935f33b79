"""How far things are, on terminals, in files and in notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastpolysem as fp
from fastpolysem.studies import progress as shown
from studying import CHILD, CONFIG, CONFIGS, small_blocks  # noqa: F401

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


def test_the_table_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    script = tmp_path / "script.py"
    script.write_text(CHILD.format(speed=1e8, steps=50, seeds=40))
    parent, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"}
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
    assert b"n_hidden" in seen
    assert b"40/40" in seen
    assert b"done in" in seen
