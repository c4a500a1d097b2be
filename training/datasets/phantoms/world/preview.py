"""Contact sheets: a look at a domain's cases, with everything that is true of them."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from training.datasets.phantoms.world.case import WorldCase, make_case
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.splits import Split

WINDOWS = {"HU": (-200.0, 300.0), "SUV": (0.0, 8.0)}
LABELS = ListedColormap(["black", "#4f7cac", "#f2a541", "#d1495b"])
KINDS = ["conflict", "complementary", "low-contrast", "noise"]
KIND_COLOURS = ListedColormap(["none", "#ff3b6b", "#35c2ff", "#ffe14d", "#9dff5c"])


def write_sheet(domains: tuple[Domain, ...], split: Split, path: Path, *, cases: int = 3, first: int = 0) -> Path:
    """Draw ``cases`` cases of each domain, one a row, and write a PNG.

    Columns: the modalities, p*(lesion), the findings by kind over the first modality, two readers' label maps.

    Args:
        domains: Blocks of rows.
        split: Whose cases.
        path: The PNG.
        cases: Rows a domain.
        first: Index of the first case.
    """
    columns = max(len(d.channels) for d in domains) + 4
    height = 1.36 * cases * len(domains) + 0.15
    figure = Figure(figsize=(1.25 * columns, height), dpi=110, facecolor="black")
    axes = figure.subplots(cases * len(domains), columns, squeeze=False)
    for block, domain in enumerate(domains):
        for row in range(cases):
            _draw_row(axes[block * cases + row], make_case(domain, split, first + row))
    figure.subplots_adjust(0.0, 0.0, 1.0, 1 - 0.15 / height, 0.02, 0.10)
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"path.simplify": True}):
        figure.savefig(path, facecolor="black", metadata={"Software": None})
    return path


def _draw_row(axes: np.ndarray, case: WorldCase) -> None:
    """Draw the slice that shows the most of the conflicts, or of the lesion."""
    target = case.conflict if case.conflict.any() else case.label >= case.domain.lesion_level
    depth = int(target.sum(axis=(1, 2)).argmax())
    level = case.domain.lesion_level
    shown: list[tuple[str, np.ndarray, dict[str, object]]] = []
    for channel, image in zip(case.domain.channels, case.images, strict=True):
        low, high = WINDOWS.get(channel.role.units, (0.0, float(np.percentile(image, 99.5))))
        cmap = "gray_r" if channel.role.units == "SUV" else "gray"
        shown.append((channel.role.slug, image[depth], {"cmap": cmap, "vmin": low, "vmax": max(high, low + 1)}))
    shown.append(("p*(lesion)", case.probability[level:].sum(axis=0)[depth], {"cmap": "magma", "vmin": 0, "vmax": 1}))
    shown.append(("findings", case.images[0][depth], shown[0][2]))
    draws = case.labels if len(case.labels) > 1 else np.repeat(case.labels, 2, axis=0)
    other = next((j for j in range(1, len(draws)) if (draws[j] != draws[0]).sum() > 20), 1)
    shown += [(f"reader {j + 1}", draws[j][depth], {"cmap": LABELS, "vmin": 0, "vmax": 3}) for j in (0, other)]
    for axis, (title, image, options) in zip(axes, shown, strict=False):
        axis.imshow(image, interpolation="nearest", **options)
        axis.set_title(title, color="white", fontsize=6, pad=1)
        if title == "findings":
            kinds = [0] + [1 + KINDS.index(f.kind) for f in case.domain.findings]
            overlay = np.array(kinds)[case.kinds[depth]]
            axis.imshow(overlay, cmap=KIND_COLOURS, vmin=0, vmax=4, alpha=0.75, interpolation="nearest")
    for axis in axes:
        _bare(axis)


def _bare(axis: Axes) -> None:
    axis.set_axis_off()
