"""One picture of a result: images with outlines, calibrated probability, where it may be wrong, and why.

Drawn on the model's grid, which holds every modality. matplotlib's Figure is used directly: pyplot keeps
global state and is not safe in threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from entrust.contract import Task
from entrust.structures import structure_mask, structure_masks, structure_probability
from entrust.trustmap import TrustMap
from service.encode.sources import facing
from service.study import Case
from service.summary import NOTICE, Summary

MAX_ROWS = 4
MARGIN_MM = 25.0
"""Shown around everything that was found."""
MIN_FIELD_MM = 110.0

_PANEL_INCHES = 2.15
_LINE_INCHES = 0.17
_DPI = 100
_PAPER, _INK, _DIM = "#101418", "#e8eaed", "#9aa0a6"
_DISPLAY = {"HU": ("gray", "HU"), "SUV": ("gray_r", "SUV"), "arbitrary": ("gray", "a.u.")}
_SOFT_TISSUE_HU = (-160.0, 240.0)


@dataclass(frozen=True)
class _Overlay:
    """A map of values in [0, 1] drawn over the reference image."""

    title: str
    subtitle: str
    colours: str | Colormap


_TEAL = LinearSegmentedColormap.from_list("entrust-conflict", ["#06222b", "#00838f", "#26d9c7", "#f1fffa"])
_OVERLAYS = (
    _Overlay("Probability", "calibrated; thin lines: hypotheses", "viridis"),
    _Overlay("Where", "probability of an error", "inferno"),
    _Overlay("Why", "conflict between modalities", _TEAL),
)


def draw_montage(case: Case, trust_map: TrustMap, summary: Summary) -> bytes:
    """Return the picture as PNG; the same values give the same bytes."""
    found = _found(trust_map, summary.uncertain.threshold)
    rows = choose_slices(trust_map, found)
    window = _field_of_view(case, found)
    shown = [slug for slug in case.task.slugs if slug in case.used]
    columns = len(shown) + len(_OVERLAYS)
    _, row_slice, column_slice = window
    aspect = (
        (row_slice.stop - row_slice.start)
        * case.grid.spacing_mm[1]
        / ((column_slice.stop - column_slice.start) * case.grid.spacing_mm[2])
    )
    header_inches, footer_inches = 1.05 + _further_lines_inches(summary), 0.75
    panel_height = _PANEL_INCHES * aspect
    width, height = columns * _PANEL_INCHES, len(rows) * panel_height + header_inches + footer_inches
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        len(rows),
        columns,
        squeeze=False,
        gridspec_kw={
            "left": 0.0,
            "right": 1.0,
            "bottom": footer_inches / height,
            "top": 1.0 - header_inches / height,
            "wspace": 0.02,
            "hspace": 0.02,
        },
    )
    scales = {slug: _scale(case, slug) for slug in shown}
    backdrop = next(slug for slug in case.task.reference_order if slug in case.used)
    for row, depth in zip(axes, rows, strict=True):
        view = (depth, row_slice, column_slice)
        for ax, slug in zip(row, shown, strict=False):
            _draw_image(ax, case, slug, scales[slug], view)
            _draw_outline(ax, case, trust_map, view)
        _draw_maps(row[len(shown) :], case, trust_map, backdrop, scales[backdrop], view)
        _note(row[0], f"{case.grid.to_world(np.asarray([[depth, 0.0, 0.0]]))[0, 2]:.0f} mm")
    _orient(axes[0][0], case, window)
    _head(figure, axes[0], case.task, [case.task.modality(slug).title for slug in shown], summary, height)
    _foot(figure, axes[-1], case, shown, scales, summary, height)
    buffer = BytesIO()
    figure.savefig(
        buffer, format="png", metadata={"Software": None}, facecolor=_PAPER, pil_kwargs={"compress_level": 4}
    )
    return buffer.getvalue()


def choose_slices(trust_map: TrustMap, found: Bool[np.ndarray, "d h w"]) -> list[int]:
    """Return up to :data:`MAX_ROWS` slices that say most, from superior to inferior.

    A slice scores by its share of the mask, of the error probability and of the conflict where something was found;
    a slice near a chosen one scores less, so that the picture spans the structure.
    """
    mask = trust_map.label_map > 0
    score = np.zeros(len(mask))
    for values in (mask, trust_map.error_probability * found, trust_map.conflict * found):
        per_slice = values.sum(axis=(1, 2), dtype=float)
        score += per_slice / max(per_slice.max(), 1e-9)
    if not score.any():
        return [len(mask) // 2]
    extent = int(np.ptp(np.nonzero(score)[0])) + 1
    reach = max(extent / (2 * MAX_ROWS), 1.0)
    chosen: list[int] = []
    for _ in range(min(MAX_ROWS, int((score > 0).sum()))):
        best = int(score.argmax())
        chosen.append(best)
        score = score * (1.0 - np.exp(-0.5 * ((np.arange(len(score)) - best) / reach) ** 2))
        score[best] = 0.0
    return sorted(chosen, reverse=True)


def _found(trust_map: TrustMap, threshold: float) -> Bool[np.ndarray, "d h w"]:
    """Return where there is something to look at: the mask, a hypothesis, or, without either, an uncertain voxel."""
    found = (trust_map.label_map > 0) | np.any(trust_map.hypothesis_label_maps > 0, axis=0)
    return found if found.any() else trust_map.error_probability >= threshold


def _field_of_view(case: Case, found: Bool[np.ndarray, "d h w"]) -> tuple[slice, slice, slice]:
    """Return the part of each slice to show: what was found with a margin, or everything."""
    if not found.any():
        return tuple(slice(0, n) for n in case.grid.shape)  # type: ignore[return-value]
    field = [slice(0, case.grid.shape[0])]
    for axis, other in ((1, 2), (2, 1)):
        inside = np.nonzero(found.any(axis=(0, other)))[0]
        spacing_mm, size = case.grid.spacing_mm[axis], case.grid.shape[axis]
        half_mm = max((inside[-1] - inside[0]) * spacing_mm / 2 + MARGIN_MM, MIN_FIELD_MM / 2)
        centre = (inside[0] + inside[-1]) / 2
        field.append(
            slice(max(int(centre - half_mm / spacing_mm), 0), min(int(centre + half_mm / spacing_mm) + 1, size))
        )
    return field[0], field[1], field[2]


def _scale(case: Case, slug: str) -> Normalize:
    """Return the window of a modality: soft tissue for HU, from zero for SUV, percentiles for arbitrary units."""
    m = case.task.slugs.index(slug)
    values, units = case.intensities[m][case.presence[m]], case.task.modality(slug).units
    if units == "HU" or not values.size:
        return Normalize(*_SOFT_TISSUE_HU)
    if units == "SUV":
        return Normalize(0.0, max(float(np.percentile(values, 99.8)), 5.0))
    low, high = (float(v) for v in np.percentile(values, (1.0, 99.5)))
    return Normalize(low, max(high, low + 1e-6))


def _draw_image(
    ax: Axes, case: Case, slug: str, scale: Normalize, view: tuple[int, slice, slice], dim: float = 1.0
) -> None:
    m = case.task.slugs.index(slug)
    colours, _ = _DISPLAY[case.task.modality(slug).units]
    colours = "gray" if dim < 1.0 else colours  # maps want a dark ground
    ax.set_axis_off()
    image = np.where(case.presence[m][view], case.intensities[m][view], scale.vmin)
    ax.imshow(
        image, cmap=colours, norm=scale, alpha=dim, interpolation="bilinear",
        aspect=case.grid.spacing_mm[1] / case.grid.spacing_mm[2],
    )  # fmt: skip
    if not case.presence[m][view].any():
        ax.text(0.5, 0.5, "no data here", transform=ax.transAxes, color=_DIM, ha="center", fontsize=8)


def _draw_outline(ax: Axes, case: Case, trust_map: TrustMap, view: tuple[int, slice, slice]) -> None:
    task = case.task
    for label in task.labels:
        probability = structure_probability(task, trust_map.probability[(slice(None), *view)], label)
        _contour(ax, probability, structure_mask(task, trust_map.label_map[view], label), label.colour)


def _contour(
    ax: Axes,
    values: Float[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
    colour: tuple[int, int, int] | str,
    width: float = 1.3,
    alpha: float = 1.0,
) -> None:
    """Draw the outline of a mask; along its probability where that crosses one half, which is smoother."""
    if not mask.any() or mask.all():
        return
    smooth = bool(((values > 0.5) == mask).all())
    rgb = colour if isinstance(colour, str) else _rgb(colour)
    ax.contour(values if smooth else mask.astype(float), levels=[0.5], colors=[rgb], linewidths=width, alpha=alpha)


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def _draw_maps(
    row: Sequence[Axes],
    case: Case,
    trust_map: TrustMap,
    backdrop: str,
    scale: Normalize,
    view: tuple[int, slice, slice],
) -> None:
    foreground = 1.0 - trust_map.probability[0]
    for ax, overlay, volume in zip(
        row, _OVERLAYS, (foreground, trust_map.error_probability, trust_map.conflict), strict=True
    ):
        _draw_image(ax, case, backdrop, scale, view, dim=0.45)
        values = np.clip(volume[view], 0.0, 1.0)
        ax.imshow(
            values, cmap=overlay.colours, norm=Normalize(0.0, 1.0), alpha=np.clip(values * 4.0, 0.0, 0.9),
            interpolation="nearest", aspect=case.grid.spacing_mm[1] / case.grid.spacing_mm[2],
        )  # fmt: skip
    task = case.task
    for hypothesis in trust_map.hypothesis_label_maps:
        for label, mask in zip(task.labels, structure_masks(task, hypothesis[view]), strict=True):
            colour = label.colour if len(task.labels) > 1 else _INK
            _contour(row[0], mask.astype(float), mask, colour, width=0.5, alpha=0.55)
    outlined = trust_map.label_map[view] > 0
    _contour(row[1], outlined.astype(float), outlined, _INK, width=0.7, alpha=0.9)
    _draw_outline(row[2], case, trust_map, view)


def _note(ax: Axes, text: str, x: float = 0.03, y: float = 0.03, **options: Any) -> None:
    """Write on an image, readable on black and on white."""
    halo = [withStroke(linewidth=1.6, foreground=_PAPER)]
    ax.text(x, y, text, transform=ax.transAxes, color=_INK, fontsize=7, path_effects=halo, **options)


def _orient(ax: Axes, case: Case, window: tuple[slice, slice, slice]) -> None:
    """Mark where the left and the upper edge face in the patient (R and A in axial slices), and five centimetres."""
    _, _, columns = window
    _, row, column = case.grid.direction.T
    _note(ax, facing(-column), 0.03, 0.5, va="center")
    _note(ax, facing(-row), 0.5, 0.97, ha="center", va="top")
    length = 50.0 / (case.grid.spacing_mm[2] * (columns.stop - columns.start))
    for colour, width in ((_PAPER, 3.0), (_INK, 1.5)):
        ax.plot([0.97 - length, 0.97], [0.05, 0.05], transform=ax.transAxes, color=colour, linewidth=width)
    _note(ax, "5 cm", 0.97 - length / 2, 0.07, ha="center")


def _further_lines_inches(summary: Summary) -> float:
    """Return the height of the lines of all structures after the first."""
    return _LINE_INCHES * (len(summary.segments) - 1)


def _head(
    figure: Figure, row: Sequence[Axes], task: Task, titles: Sequence[str], summary: Summary, height: float
) -> None:
    subtitles = [""] * len(titles) + [overlay.subtitle for overlay in _OVERLAYS]
    for ax, title, subtitle in zip(row, [*titles, *(o.title for o in _OVERLAYS)], subtitles, strict=True):
        centre = (ax.get_position().x0 + ax.get_position().x1) / 2
        further = _further_lines_inches(summary)
        figure.text(centre, 1.0 - (0.86 + further) / height, title, color=_INK, fontsize=10, ha="center", weight="bold")
        figure.text(centre, 1.0 - (1.0 + further) / height, subtitle, color=_DIM, fontsize=7, ha="center")
    figure.text(0.01, 1.0 - 0.3 / height, summary.task.title, color=_INK, fontsize=13, weight="bold")
    missing = f"   ·   missing: {', '.join(summary.missing)}" if summary.missing else ""
    for number, s in enumerate(summary.segments):
        interval = s.volume_interval_ml
        line = (
            f"{s.title}: {s.volume_ml:.1f} ml ({interval.level:.0%}: {interval.low:.1f} to {interval.high:.1f} ml), "
            f"reliability {s.reliability}{missing if number == 0 else ''}"
        )
        colour = _INK if len(summary.segments) == 1 else _rgb(task.labels[number].colour)
        figure.text(0.01, 1.0 - (0.55 + number * _LINE_INCHES) / height, line, color=colour, fontsize=9)
    figure.text(0.99, 1.0 - 0.3 / height, "RESEARCH USE ONLY", color="#f6a623", fontsize=11, weight="bold", ha="right")


def _foot(
    figure: Figure,
    row: Sequence[Axes],
    case: Case,
    shown: Sequence[str],
    scales: dict[str, Normalize],
    summary: Summary,
    height: float,
) -> None:
    bars: list[tuple[Normalize, str | Colormap, str]] = []
    bars += [(scales[slug], *_DISPLAY[case.task.modality(slug).units]) for slug in shown]
    threshold = f"uncertain from {summary.uncertain.threshold:g}"
    words = ("", threshold, "")
    bars += [(Normalize(0.0, 1.0), overlay.colours, word) for overlay, word in zip(_OVERLAYS, words, strict=True)]
    for ax, (scale, colours, unit) in zip(row, bars, strict=True):
        box = ax.get_position()
        bar = figure.add_axes((box.x0 + 0.2 * box.width, 0.57 / height, 0.6 * box.width, 0.07 / height))
        drawn = figure.colorbar(ScalarMappable(scale, colours), cax=bar, orientation="horizontal")
        drawn.set_ticks([float(scale.vmin or 0.0), float(scale.vmax or 1.0)])
        drawn.ax.tick_params(colors=_DIM, labelsize=6, length=2, pad=1)
        drawn.outline.set_visible(False)
        figure.text(box.x0 + 0.5 * box.width, 0.46 / height, unit, color=_DIM, fontsize=6, ha="center", va="top")
    p, m = summary.parameters, summary.model
    line = (
        f"{m.name} {m.version} ({m.digest[:12]})   ·   {p.num_hypotheses} hypotheses, {p.num_steps} steps, "
        f"{p.sampler}, seed {p.seed}   ·   {_largest_doubt(summary)}"
    )
    figure.text(0.01, 0.2 / height, line, color=_DIM, fontsize=7)
    figure.text(0.01, 0.06 / height, NOTICE, color=_DIM, fontsize=7)


def _largest_doubt(summary: Summary) -> str:
    if not summary.uncertain.regions:
        return "no uncertain region"
    region = summary.uncertain.regions[0]
    cause = region.causes[0]
    who = f" ({', '.join(cause.modalities)})" if cause.modalities else ""
    count = summary.uncertain.num_regions
    return (
        f"{count} uncertain region{'' if count == 1 else 's'}, largest {region.volume_ml:.1f} ml: "
        f"{cause.cause}{who} in {cause.share:.0%} of it"
    )
