"""Runs the whole suite and writes its tables and plots: python -m benchmarks.run

`python -m benchmarks.run networks` runs the networks only. Further options are pytest's, for
instance `-k step`. A run of a part writes that part only.
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
OURS |= {"fastpolysem", "plain", "noise", "dropout"}
# Powers with which the flops of a step grow: 3n²m, and in a network those of each row.
GROWTH = {"neurons m": 1, "features n": 2, "hidden width": 1, "rows of a batch": 1}
NETWORKS = "networks: "  # groups of this prefix have a table and plots of their own


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main() -> int:
    RESULTS.mkdir(exist_ok=True)
    raw = RESULTS / "benchmark.json"
    options, where = sys.argv[1:], HERE
    if options[:1] == ["networks"]:
        options, where = options[1:], HERE / "test_networks.py"
    command = [sys.executable, "-m", "pytest", str(where), "-q", "-o", "addopts="]
    status = subprocess.call(
        [*command, "-W", "ignore", f"--benchmark-json={raw}", *options], cwd=HERE.parent
    )
    if status:
        return status
    data = json.loads(raw.read_text())
    raw.unlink()
    groups: dict[str, list[Any]] = defaultdict(list)
    networks: dict[str, list[Any]] = defaultdict(list)
    for entry in data["benchmarks"]:
        group = entry["group"]
        family = networks if group.startswith(NETWORKS) else groups
        family[group.removeprefix(NETWORKS)].append(entry)
    if groups:
        write(groups, "results", "growth", table(groups, " (3n²m)"))
    if networks:
        body = f"{summary(networks)}\n{table(networks, '')}"
        write(networks, "networks", "networks-growth", body)
    return 0


def write(groups: dict[str, list[Any]], name: str, growth: str, body: str) -> None:
    (RESULTS / f"{name}.md").write_text("\n".join([*heading(name), body]))
    shown = {g: e for g, e in groups.items() if not is_growth(g)}
    if shown:
        draw(shown, RESULTS / f"{name}.png")
    if len(shown) < len(groups):
        draw_growth({g: e for g, e in groups.items() if is_growth(g)}, RESULTS / f"{growth}.png")


def is_growth(group: str) -> bool:
    return group.startswith("growth")


def cost(entry: Any) -> float:
    """What entries of a group compare by: networks are given unequal numbers of steps."""
    if entry["group"].startswith(NETWORKS):
        return float(entry["extra_info"]["seconds_per_seed_step"])
    return float(entry["stats"]["median"])


def name_of(entry: Any) -> str:
    return str(entry["params"].get("name") or next(iter(entry["params"].values())))


def heading(name: str) -> list[str]:
    info = fp.build_info()
    machine = f"One run on {processor()}, {info['threads']} cores, instruction set {info['isa']}, "
    if name == "networks":
        return [
            "# Networks",
            "",
            f"{machine}{info['compiler']}. Medians of whole runs, in which ours have more steps; "
            "ratios are of the time per seed and step to the first of the group. Times include the "
            "drawing of batches; the evaluation and the measures at the end are left out. "
            "Peers train as many networks at a time as suits them best. The share of the FMA peak "
            "counts the products of both passes, the first layer's only where inputs are not zero. "
            "Written by `python -m benchmarks.run networks`.",
            "",
        ]
    return [
        "# Results",
        "",
        f"{machine}{info['compiler']}. Medians; the ratio is to the first of the group. Written by "
        "`python -m benchmarks.run`.",
        "",
    ]


def summary(groups: dict[str, list[Any]]) -> str:
    """Each setting of the networks against the better of PyTorch and JAX."""
    lines = [
        "| widths, rows of a step | per network and step | better peer | its time "
        "| times as fast | of FMA peak |",
        "|---|---|---|---|---|---|",
    ]
    for group, entries in groups.items():
        found = {name_of(e): e for e in entries}
        ours = found.pop("fastpolysem", None)
        found.pop("numpy", None)
        if ours is None or not found:
            continue
        best = min(found, key=lambda name: cost(found[name]))
        peak = 100 * ours["extra_info"]["fraction_of_peak"]
        lines.append(
            f"| {group} | {seconds(cost(ours))} | {best} | {seconds(cost(found[best]))} "
            f"| {cost(found[best]) / cost(ours):.1f} | {peak:.0f} % |"
        )
    return "\n".join([*lines, ""])


def table(groups: dict[str, list[Any]], flops: str) -> str:
    lines = []
    for group, entries in groups.items():
        lines += [f"## {group}", "", "| who | median | per seed and step | ratio | notes |"]
        lines += ["|---|---|---|---|---|"]
        for e in entries:
            extra = e["extra_info"]
            per = extra.get("seconds_per_seed_step")
            notes = []
            if "kernel" in extra:
                notes.append(f"kernel {extra['kernel']}")
            if "batch" in extra:
                notes.append(f"{extra['batch']} models at a time")
            if "fraction_of_peak" in extra:
                notes.append(f"{100 * extra['fraction_of_peak']:.0f} % of FMA peak{flops}")
            if "polysemantic" in extra:
                notes.append(f"polysemantic {extra['polysemantic']}")
            lines.append(
                f"| {name_of(e) if not is_growth(group) else next(iter(extra.values()))} "
                f"| {seconds(e['stats']['median'])} | {seconds(per) if per else ''} "
                f"| {cost(e) / cost(entries[0]):.2f} | {', '.join(notes)} |"
            )
        lines.append("")
    return "\n".join(lines)


def seconds(x: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if x >= size:
            return f"{x / size:.3g} {unit}"
    return f"{x / 1e-9:.3g} ns"


def draw(shown: dict[str, list[Any]], path: Path) -> None:
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(8, 0.7 + 1.45 * len(shown)), layout="constrained", squeeze=False
    )
    for ax, (group, entries) in zip(axes[:, 0], shown.items(), strict=True):
        names = [name_of(e) for e in entries]
        costs = [cost(e) for e in entries]
        colours = ["#0072b2" if name in OURS else "#999999" for name in names]
        bars = ax.barh(names, costs, color=colours)
        ax.bar_label(bars, [f"{seconds(x)}  ({x / costs[0]:.3g} times)" for x in costs], padding=3)
        ax.set(xscale="log", xlim=(min(costs) / 2, max(costs) * 8))
        ax.set_title(group, loc="left", fontsize=9)
        ax.invert_yaxis()
        ax.tick_params(labelsize=8)
    per_step = entries[0]["group"].startswith(NETWORKS)
    what = "one step of one network" if per_step else "the whole piece of work"
    axes[-1, 0].set_xlabel(f"median time of {what} in seconds (blue: fastpolysem)")
    figure.savefig(path, dpi=120)


def draw_growth(shown: dict[str, list[Any]], path: Path) -> None:
    figure, axes = plt.subplots(
        *(1, len(shown)),
        figsize=(3 * len(shown), 3),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for ax, (group, entries) in zip(axes[0], shown.items(), strict=True):
        x = [next(iter(e["extra_info"].values())) for e in entries]
        y = [1e6 * e["extra_info"]["seconds_per_seed_step"] for e in entries]
        ax.loglog(x, y, "o-", color="#0072b2")
        what = group.removeprefix("growth with ")
        if power := GROWTH.get(what):
            ax.plot(x, [y[-1] * (v / x[-1]) ** power for v in x], ":", color="#999999", zorder=0)
        ax.set_xticks(x, [f"{v:g}" for v in x])
        ax.minorticks_off()
        ax.set_xlabel(what)
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_ylabel("µs per seed and step\n(dotted: proportional to the flops)")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
