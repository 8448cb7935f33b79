"""Reports: a page that stands alone, says what came out and can be redone."""

from __future__ import annotations

import html
import io
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem import cli, report
from fastpolysem.studies import formatting
from fastpolysem.studies.schema import FACTS
from helpers import synthetic
from helpers.probes import Largest

CONFIG = fp.Config(n_features=64, n_hidden=64, l1=1e-3)
TINY = fp.Config(n_features=6, n_hidden=8, l1=1e-2, steps=30)
VOID = {"meta", "path", "use", "br"}


class Page(HTMLParser):
    """What a browser sees of a page: tags that open and close, names, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, *names: str) -> list[str]:
        return [value or "" for name, value in self.attributes if name in names]


def study(*counts: list[int]) -> fp.Study:
    configs = fp.grid(CONFIG, n_hidden=[64 * 2**i for i in range(len(counts))])
    return synthetic.study(
        *(synthetic.result(config, one) for config, one in zip(configs, counts, strict=True))
    )


def test_the_page_stands_alone() -> None:
    text = report.page(study([12, 14, 13], [6, 8, 7]), title="a <b> & c")
    page = Page(text)
    assert not page.open
    assert page.tags.count("svg") == 4
    assert "<title>a &lt;b&gt; &amp; c</title>" in text
    names = page.of("id")
    assert len(names) == len(set(names))
    links = page.of("href", "xlink:href", "src")
    assert links
    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= set(names)
    assert all(link.startswith(("#", "data:text/csv")) for link in links)
    for place in re.findall(r"url\(([^)]*)\)", text):
        assert place.removeprefix("#") in names
    assert "@import" not in text
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert page.tags.count("script") == 1  # sorts tables
    assert not page.of("src")
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons)", text)


def test_the_page_says_what_came_out() -> None:
    made = study([12, 14, 13, -1], [6, 8, 7])
    page = Page(report.page(made))
    for entry in formatting.readable(made.summary()).to_numpy().ravel():
        assert entry in page.text
    assert "2 configurations, 7 seeds, 1 diverged" in page.text
    assert "Mean counts are 0.812 to 0.875 times the collision law" in page.text
    assert "In 1 of 2 configurations" in page.text  # of which seeds diverged
    assert fp.__version__ in page.text


def test_the_contents_lead_to_every_section() -> None:
    text = report.page(study([12, 14, 13], [6, 8, 7]))
    sections = re.findall(r'<section id="(\w+)"><h2>(.*?)</h2>', text)
    assert len(sections) == text.count("<h2>") == 6
    contents = re.search(r"<nav.*?</nav>", text, re.DOTALL)
    assert contents is not None
    assert re.findall(r'<a href="#(\w+)">(.*?)</a>', contents[0]) == sections


def tables(text: str) -> dict[str, pd.DataFrame]:
    """The files that a page offers for download, by their names."""
    found = re.findall(r'<a download="([^"]*)" href="data:text/csv;charset=utf-8,([^"]*)"', text)
    return {name: pd.read_csv(io.StringIO(unquote(data))) for name, data in found}


def test_figures_and_tables_come_with_their_data() -> None:
    made = study([12, 14, 13, -1], [6, 8, 7])
    text = report.page(made)
    assert text.count("<figure>") == text.count("<figcaption>") == 4
    files = tables(text)
    assert len(files) == 5
    for name in ("polysemantic.csv", "polysemantic-means.csv"):
        pd.testing.assert_frame_equal(files[name], made.summary(), check_dtype=False)
    lost = made.summary("unrepresented")
    pd.testing.assert_frame_equal(files["unrepresented-means.csv"], lost, check_dtype=False)
    counted = files[f"polysemantic-{made.configs[0].digest[:8]}.csv"]
    assert counted.to_numpy().tolist() == [[12, 1], [13, 1], [14, 1]]


def test_settings_stay_in_sight_and_every_column_sorts() -> None:
    text = report.page(study([12, 14, 13], [6, 8, 7]))
    assert "In all rows: n = 64." in text
    (table,) = re.findall(r'<table class="sortable">.*?</table>', text, re.DOTALL)
    head, *rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
    assert [re.findall(r"<span[^>]*>(\w+)</span>", row) for row in rows] == [["64"], ["128"]]
    buttons = re.findall(r'<button type="button">(.*?)</button>', head)
    assert buttons[:3] == ["m", "mean", "95 % interval"]
    assert all(row.count("<td>") == len(buttons) - 1 for row in rows)
    sticky = re.search(r"th\.key \{([^}]*)\}", text)
    assert sticky is not None
    assert "position: sticky; left: 0" in sticky[1]


def sweep(**settings: list[Any]) -> fp.Study:
    return synthetic.study(
        *(synthetic.result(one, [3, 4], seconds=0.1) for one in fp.grid(CONFIG, **settings))
    )


def test_many_settings_have_an_overview_and_folded_tables() -> None:
    l1 = [1e-4 * 1.2**k for k in range(10)]
    made = sweep(n_hidden=[64, 128], l1=l1, dropout=[0.0, 0.1, 0.2], optimizer=["sgd", "adam"])
    text = report.page(made)
    assert not Page(text).open
    files = tables(text)
    overview = files["overview.csv"]
    assert len(files["polysemantic.csv"]) == len(made.configs) == 120
    assert (
        overview["setting"].tolist()
        == ["m"] * 2 + ["l1"] * 10 + ["dropout"] * 3 + ["optimizer"] * 2
    )
    assert overview["configurations"].tolist() == [60] * 2 + [12] * 10 + [40] * 3 + [60] * 2
    assert np.allclose(overview["mean"], 3.5)
    assert text.index("Overview") < text.index("<details><summary>All 120 configurations</summary>")
    assert "<details><summary>The first 12 configurations</summary>" in text
    assert len(text) < 1.5e6


def test_the_size_of_a_page_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastpolysem.report import _figures, _tables

    monkeypatch.setattr(_tables, "_MOST_ROWS", 2)
    monkeypatch.setattr(_figures, "_MOST_BYTES", 1000)
    text = report.page(study([12, 14], [6, 8], [3, 4]))
    assert "… and 1 more rows, which the file contains." in text
    assert len(tables(text)["polysemantic.csv"]) == 3
    assert "<svg" not in text
    assert text.count('src="data:image/png;base64,') == 5


def test_what_cannot_be_drawn_is_said_and_comes_as_data() -> None:
    made = sweep(
        l1=[0.001 * 2**k for k in range(4)],
        dropout=[0, 0.1, 0.2],
        optimizer=["sgd", "adam", "adamw"],
        init_scale=[0.5, 1.0, 2.0],
    )
    text = report.page(made)
    assert "not drawn (plots.collisions: select must leave settings for at most 24 panels" in text
    assert len(tables(text)["polysemantic-means.csv"]) == len(made.configs)


def test_equal_studies_give_equal_pages() -> None:
    first, second = (report.page(study([12, 14, 13])) for _ in range(2))
    assert first == second


def test_pages_of_studies_with_little_in_them() -> None:
    for call in (report.page, report.commands, lambda given: report.write(given, "a.html")):
        with pytest.raises(TypeError, match=r"^report\..*: study must be a Study, got Config"):
            call(CONFIG)
    with pytest.raises(ValueError, match="must hold a configuration"):
        report.page(fp.Study())
    page = Page(report.page(study([-1, -1])))
    assert "svg" not in page.tags
    assert "There is no count to report" in page.text
    assert Page(report.page(study([5]))).tags.count("svg") == 2


def test_no_more_distributions_than_can_be_looked_at() -> None:
    text = Page(report.page(study(*[[3, 4]] * 14))).text
    assert "… and 2 more configurations" in text


def rows(made: fp.Study) -> list[tuple[object, ...]]:
    table = made.seeds().drop(columns=list(FACTS)).sort_values(["digest", "seed"])
    return [tuple(map(str, row)) for row in table.itertuples(index=False)]


SWEEPS = {
    "grid": fp.grid(TINY, n_hidden=[8, 12], optimizer=["adam", "adamw"]),
    "no grid": [TINY, TINY.replace(n_hidden=12, l1=0.1)],
    "every kind of value": [
        TINY.replace(
            tied=False,
            betas=(0.8, 0.99),
            weight_decay=0.125,
            importance=range(1, 7),
            l1_schedule=[(0, 0), (20, 1)],
            inputs=fp.Independent(probability=0.3, batch_size=9, magnitude="uniform"),
            dtype="float64",
        )
    ],
    "networks": fp.grid(
        fp.NetworkConfig(widths=(4, 5, 4), steps=4),
        widths=[(4, 5, 4), (4, 6, 4)],
        l1=[0.0, 0.01],
    ),
    "every kind of value of a network": [
        fp.NetworkConfig(
            widths=(4, 6, 6, 2),
            activation=("relu", "tanh"),
            bias=(True, False, True),
            bias_decay=[(0, 0.1)],
            residual=(2,),
            inputs=fp.Independent([0.1, 0.2, 0.3, 0.4], 16, "sign"),
            target=fp.targets.Clauses([[[0, 1]], [[2], [-1]]]),
            loss=fp.losses.Power(4),
            importance=(1, 0.5),
            l1=(0.1, 0, 0.2),
            learning_rate_schedule="cosine",
            noise="laplace",
            noise_std=0.1,
            steps=4,
        )
    ],
    "what begins with a minus sign": [
        fp.NetworkConfig(widths=(4, 6, 4), bias=True, bias_start=(-1, 0.5), steps=4)
    ],
    "what the platform decides": fp.grid(TINY, weight_decay=[None, 0.5]),
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_commands_do_it_again(sweep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fp.collect(SWEEPS[sweep], seeds=4, progress=False)
    listed = report.commands(made, "there")
    assert len(listed) == (2 if sweep == "no grid" else 1)
    text = Page(report.page(made)).text
    monkeypatch.chdir(tmp_path)
    for command in listed:
        assert command.replace("there", "again") in text
        words = shlex.split(command)
        assert words[0] == "fastpolysem"
        assert cli.main(words[1:]) == 0
    assert rows(fp.Study.open("there")) == rows(made)


@pytest.mark.parametrize(
    ("seeds", "word"),
    [
        (range(4), "4"),
        (range(3, 9), "3:9"),
        (range(10, 31, 10), "10:31:10"),
        ([7], "7:8"),
        ([3, 2**63, 5], f"3,5,{2**63}"),
    ],
)
def test_seeds_of_any_kind_are_said(
    seeds: list[int], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = fp.collect(TINY, seeds=seeds, progress=False)
    (command,) = report.commands(made)
    words = shlex.split(command)
    assert words[words.index("--seeds") + 1] == word
    assert cli.main(words[1:]) == 0
    assert rows(fp.Study.open("again")) == rows(made)


@pytest.mark.parametrize(
    "configs",
    [
        fp.grid(fp.NetworkConfig(widths=(4, 4, 4), steps=2), residual=[(), (1,)]),
        [fp.NetworkConfig(widths=(4, 4, 4), steps=2, readout=np.eye(4))],
    ],
    ids=["nothing beside something", "readout"],
)
def test_there_is_no_command_that_would_be_read_differently(configs: list[Any]) -> None:
    assert report.commands(fp.collect(configs, seeds=2, progress=False)) == []


@pytest.mark.parametrize("reason", ["seeds", "batch", "data"])
def test_code_does_it_again_where_commands_cannot(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch = TINY.replace(inputs=fp.FixedBatch(np.eye(6)[:3]))
    data = fp.NetworkConfig(widths=(6, 4, 6), steps=3, inputs=fp.Dataset(np.eye(6), np.eye(6)))
    config = {"seeds": TINY, "batch": batch, "data": data}[reason]
    seeds = np.arange(70) ** 2 if reason == "seeds" else [0, 1]
    fp.collect(config, seeds=seeds, path="study", progress=False)
    made = fp.Study.open("study")
    assert report.commands(made) == []
    (code,) = re.findall(r"<pre>(.*?)</pre>", report.page(made), flags=re.DOTALL)
    exec(html.unescape(code), {})
    assert rows(fp.Study.open("again")) == rows(made)


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fp.collect(TINY, seeds=3, path="mine", progress=False)
    assert cli.main(["report", "mine"]) == 0
    assert capsys.readouterr().out == "wrote mine.html\n"
    assert "<h1>mine</h1>" in Path("mine.html").read_text(encoding="utf-8")
    assert cli.main(["report", "mine", "--output", "x.html", "--title", "Ours"]) == 0
    assert "<h1>Ours</h1>" in Path("x.html").read_text(encoding="utf-8")
    assert cli.main(["report", "nowhere"]) == 2
    assert "there is no study in nowhere" in capsys.readouterr().err
    (tmp_path / "mine" / TINY.digest / "seeds-9-1.parquet").write_bytes(b"")
    assert cli.main(["report", "mine"]) == 2
    with pytest.warns(UserWarning, match="moved to"):
        assert cli.main(["report", "mine", "--skip-damaged"]) == 0


def test_tables_are_readable() -> None:
    table = study([12, 14, 13], [-1, -1]).summary()
    shown = formatting.readable(table)
    assert shown["n"].tolist() == ["64", "64"]
    assert shown["m"].tolist() == ["64", "128"]
    assert shown["95 % interval"].tolist() == [
        f"{table['ci_low'][0]:.4g} … {table['ci_high'][0]:.4g}",
        "-",
    ]
    assert shown["mean"].tolist() == ["13", "all diverged"]
    assert shown["digest"].tolist() == [digest[:8] for digest in table["digest"]]
    text = formatting.to_html(table, most=1)
    assert text.count("<tr>") == 2
    assert text.endswith("<p>… and 1 more</p>")


@pytest.mark.parametrize("made", [study([12, 14], [6, 8]), fp.Study()])
def test_a_study_shows_itself_in_a_notebook(made: fp.Study) -> None:
    page = Page(made._repr_html_())
    assert not page.open
    assert repr(made) in page.text
    if made.configs:
        for entry in formatting.readable(made.summary()).to_numpy().ravel():
            assert entry in page.text


def test_a_result_shows_itself_in_a_notebook() -> None:
    result = synthetic.result(CONFIG, [12, 14, -1])
    page = Page(result._repr_html_())
    assert not page.open
    assert "3 seeds, 1 diverged" in page.text
    assert repr(CONFIG) in page.text
    for text in ("polysemantic", "13", "1.414", "12", "14"):
        assert text in page.text
    assert "nan" not in Page(synthetic.result(CONFIG, [-1])._repr_html_()).text
    assert not Page(synthetic.result(CONFIG, [])._repr_html_()).open


def test_columns_of_probes_are_on_the_page() -> None:
    study = fp.collect(fp.grid(TINY, n_hidden=[4, 6]), seeds=4, probe=Largest(), progress=False)
    page = report.page(study)
    for name, column in Largest.columns.items():
        assert f"<h3>{name}</h3>" in page
        assert html.escape(column.doc) in page
        for mean in study.summary(name)["mean"]:
            assert f"<td>{mean:.4g}</td>" in page
    assert f"Columns of probes ({Largest.name}) are not measured again" in page


def test_no_probe_is_named_if_the_study_has_none() -> None:
    page = report.page(fp.collect(TINY, seeds=4, progress=False))
    assert "Columns of probes" not in page


@pytest.mark.parametrize("title", [3, b"Ours", ["Ours"]])
def test_a_title_is_text(tmp_path: Path, title: Any) -> None:
    target = tmp_path / "report.html"
    with pytest.raises(TypeError, match="title must be text or None, got"):
        report.write(study([1, 2, 3], [1, 2, 3]), target, title=title)
    assert not target.exists()
