"""How the results of benchmarks.work_precision are shown: tables on the screen and in docs/results, and the picture."""

import numpy as np

EULER = ("euler", "euler uniform")
CURVES = {  # of the picture: title -> (samplers, style)
    "Euler": (EULER, {"color": "black", "ls": "--", "lw": 1.5, "marker": "s", "ms": 3}),
    "gddim (default)": (("gddim",), {"color": "#0050d0", "lw": 3, "marker": "o", "ms": 5, "zorder": 3}),
    "gddim_pec": (("gddim_pec",), {"color": "#5aa0ff", "lw": 1.5, "marker": "o", "ms": 3}),
    "tuned": (("tuned log", "tuned square"), {"color": "#ffb000", "lw": 3, "marker": "D", "ms": 5, "zorder": 4}),
    "dpmpp_2m": (("dpmpp_2m",), {"color": "#2a9d6a", "lw": 1.5, "marker": "^", "ms": 3}),
    "unipc": (("unipc",), {"color": "#a6d8a0", "lw": 1.5, "marker": "v", "ms": 3}),
} | {
    f"diffusers {name}": (
        (f"diffusers {name} linspace", f"diffusers {name} karras"),
        {"color": color, "ls": "--", "lw": 1.5, "marker": "x", "ms": 4},
    )
    for name, color in (("DEIS", "#c1121f"), ("DPM++2M", "#f77f00"), ("UniPC", "#b5179e"))
}
LIMITS = {"rms": (1e-5, 10), "median": (1e-6, 10)}


def print_table(rows, quantity):
    """One line a sampler and process, one column a budget."""
    budgets = sorted({row["nfe"] for row in rows if row[quantity] is not None})
    names = list(dict.fromkeys((row["process"], row["sampler"]) for row in rows if row[quantity] is not None))
    cells = {(row["process"], row["sampler"], row["nfe"]): row[quantity] for row in rows}
    print(f"\n{quantity:<34}" + "".join(f"{n:>10}" for n in budgets))
    for name in names:
        values = [cells.get((*name, n)) for n in budgets]
        print(f"{' '.join(name):<34}" + "".join(f"{'' if v is None else format(v, '.2e'):>10}" for v in values))


def summary(rows, nfe=20):
    """The lines of the table in docs/results/work_precision.md: the default against the better of two Eulers."""
    at = {(row["process"], row["sampler"]): row for row in rows if row["nfe"] == nfe}
    for process in dict.fromkeys(name for name, _ in at):
        ours = at[process, "gddim"]
        rms, median = (min(at[process, label][quantity] for label in EULER) for quantity in ("rms", "median"))
        cells = (
            short(ours["rms"]),
            short(at[process, "gddim order 3"]["rms"]),
            short(rms),
            f"{rms / ours['rms']:.1f}",
            f"{100 * ours['moved']:.1f} %",
            f"{short(ours['median'])}, {short(median)}",
        )
        yield f"| {process} | " + " | ".join(cells) + " |"


def short(value):
    """Two digits of a number below 1, in the style 2.9e-2; two places of others."""
    return f"{value:.2f}" if value >= 1 else f"{value:.1e}".replace("e-0", "e-")


def curve(rows, labels, quantity):
    """(evaluations, smallest `quantity` of the samplers `labels`) of the rows of one process."""
    best = {}
    for row in rows:
        if row["sampler"] in labels and row[quantity]:
            best[row["nfe"]] = min(row[quantity], best.get(row["nfe"], np.inf))
    return list(best), list(best.values())


def save_picture(rows, path):
    """RMS and median against evaluations, one column a process; of two grids or spacings the better at each budget."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["process"] for row in rows))
    figure, axes = plt.subplots(
        2, len(names), figsize=(3.4 * len(names), 6.4), sharex=True, sharey="row", squeeze=False
    )
    for i, quantity in enumerate(("rms", "median")):
        for ax, name in zip(axes[i], names, strict=True):
            mine = [row for row in rows if row["process"] == name]
            for title, (labels, style) in CURVES.items():
                ax.loglog(*curve(mine, labels, quantity), label=title, **style)
            nfe, euler = curve(mine, EULER, quantity)
            ax.loglog(nfe, np.array(euler) / 10, ":", color="0.35", lw=1, label="a tenth of Euler")
            ax.grid(alpha=0.3)
            ax.set_xticks(nfe, [str(n) for n in nfe])
            ax.minorticks_off()
        axes[i][0].set_ylabel(f"{quantity} distance to the fine trajectory")
        axes[i][0].set_ylim(*LIMITS[quantity])
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name)
    for ax in axes[1]:
        ax.set_xlabel("network evaluations")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=110)
