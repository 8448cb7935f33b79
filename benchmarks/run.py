"""Runs the whole suite and writes its table and plots: python -m benchmarks.run

Options are pytest's, for instance `-k step`. A run of a part writes that part only.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import fastpolysem as fp

HERE = Path(__file__).parent
RESULTS = HERE / "results"
OURS = {"dense", "generic", "sparse", "lanes", "batch", "basis", "reduction", "1", "2"}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main() -> int:
    RESULTS.mkdir(exist_ok=True)
    raw = RESULTS / "benchmark.json"
    command = [sys.executable, "-m", "pytest", str(HERE), "-q", "-o", "addopts="]
    status = subprocess.call(
        [*command, "-W", "ignore", f"--benchmark-json={raw}", *sys.argv[1:]], cwd=HERE.parent
    )
    if status:
        return status
    data = json.loads(raw.read_text())
    raw.unlink()
    groups: dict[str, list[Any]] = defaultdict(list)
    for entry in data["benchmarks"]:
        groups[entry["group"]].append(entry)
    (RESULTS / "results.md").write_text(table(groups))
    draw(groups, RESULTS / "results.png")
    if any(name.startswith("growth") for name in groups):
        draw_growth(groups, RESULTS / "growth.png")
    return 0


def name_of(entry: Any) -> str:
    return str(entry["params"].get("name") or next(iter(entry["params"].values())))


def table(groups: dict[str, list[Any]]) -> str:
    info = fp.build_info()
    lines = [
        "# Results",
        "",
        f"One run on {processor()}, {info['threads']} cores, instruction set {info['isa']}, "
        f"{info['compiler']}. Medians; the ratio is to the first of the group. Written by "
        "`python -m benchmarks.run`.",
        "",
    ]
    for group, entries in groups.items():
        lines += [f"## {group}", "", "| who | median | per seed and step | ratio | notes |"]
        lines += ["|---|---|---|---|---|"]
        first = entries[0]["stats"]["median"]
        for e in entries:
            extra = e["extra_info"]
            per = extra.get("seconds_per_seed_step")
            notes = []
            if "batch" in extra:
                notes.append(f"{extra['batch']} models at a time")
            if "fraction_of_peak" in extra:
                notes.append(f"{100 * extra['fraction_of_peak']:.0f} % of FMA peak (3n²m)")
            if "polysemantic" in extra:
                notes.append(f"polysemantic {extra['polysemantic']}")
            median = e["stats"]["median"]
            lines.append(
                f"| {name_of(e) if not group.startswith('growth') else next(iter(extra.values()))} "
                f"| {seconds(median)} | {seconds(per) if per else ''} "
                f"| {median / first:.2f} | {', '.join(notes)} |"
            )
        lines.append("")
    return "\n".join(lines)


def seconds(x: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if x >= size:
            return f"{x / size:.3g} {unit}"
    return f"{x / 1e-9:.3g} ns"


def draw(groups: dict[str, list[Any]], path: Path) -> None:
    shown = {g: e for g, e in groups.items() if not g.startswith("growth")}
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(8, 0.7 + 1.45 * len(shown)), layout="constrained", squeeze=False
    )
    for ax, (group, entries) in zip(axes[:, 0], shown.items(), strict=True):
        names = [name_of(e) for e in entries]
        medians = [e["stats"]["median"] for e in entries]
        colours = ["#0072b2" if name in OURS else "#999999" for name in names]
        bars = ax.barh(names, medians, color=colours)
        ax.bar_label(
            bars, [f"{seconds(x)}  ({x / medians[0]:.3g} times)" for x in medians], padding=3
        )
        ax.set(xscale="log", xlim=(min(medians) / 2, max(medians) * 8))
        ax.set_title(group, loc="left", fontsize=9)
        ax.invert_yaxis()
        ax.tick_params(labelsize=8)
    axes[-1, 0].set_xlabel("median time of the whole piece of work in seconds (blue: fastpolysem)")
    figure.savefig(path, dpi=120)


def draw_growth(groups: dict[str, list[Any]], path: Path) -> None:
    shown = {g: e for g, e in groups.items() if g.startswith("growth")}
    figure, axes = plt.subplots(
        1, len(shown), figsize=(3 * len(shown), 3), layout="constrained", sharey=True
    )
    for ax, (group, entries) in zip(axes, shown.items(), strict=True):
        x = [next(iter(e["extra_info"].values())) for e in entries]
        y = [1e6 * e["extra_info"]["seconds_per_seed_step"] for e in entries]
        ax.loglog(x, y, "o-", color="#0072b2")
        what = group.removeprefix("growth with ")
        if power := {"neurons m": 1, "features n": 2}.get(what):  # what 3n²m flops would give
            ax.plot(x, [y[-1] * (v / x[-1]) ** power for v in x], ":", color="#999999", zorder=0)
        ax.set_xticks(x, [f"{v:g}" for v in x])
        ax.minorticks_off()
        ax.set_xlabel(what)
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("µs per seed and step\n(dotted: proportional to 3n²m)")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
