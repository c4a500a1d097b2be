"""Trust and drift: what the answers say of themselves, and whether the studies still look like the calibration set."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

DAY = "1d"
INPUTS, TRUSTS = ".+-intensity-.+", "uncertain-volume|agreement|.+-conflict"
CHANCE = Query('max by (task) (entrust:calibration_outside_chance:ratio{task=~"$task"})', "{{task}} chance, at most")
"""What studies like the calibration set's hardly exceed; the alert waits until it is passed by far."""


def _median(metric: str, by: str, selector: str, window: str = DAY, quantile: float = 0.5) -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate({metric}_bucket{selector}[{window}])))"


def _outside(measures: str) -> str:
    """Return the share of studies outside the range, by measure."""
    chosen = f'task=~"$task", measure=~"{measures}"'
    metric = "entrust_calibration_comparisons_total"
    return (
        f'sum by (task, measure) (increase({metric}{{{chosen}, verdict!="within"}}[{DAY}])) / '
        f"sum by (task, measure) (increase({metric}{{{chosen}}}[{DAY}]))"
    )


def _reference(measures: str) -> Query:
    """Return the calibration set's smallest and largest value; the same from every process, hence the maximum."""
    return Query(
        f'max by (task, measure, point) (entrust_calibration_reference_ratio{{task=~"$task", measure=~"{measures}", '
        'point!="median"})',
        "calibration {{measure}} {{point}}",
    )


def _intensity(statistic: str, description: str) -> Panel:
    selector = f'{{task=~"$task", statistic="{statistic}"}}'
    return Panel(
        f"Intensity: {statistic}", "short",
        (
            Query(_median("entrust_input_intensity_ratio", "modality", selector), "{{modality}} median"),
            _reference(f".+-intensity-{statistic}"),
        ),
        description,
    )  # fmt: skip


TRUST = Dashboard(
    "entrust-trust",
    "EnTrust: trust and drift",
    "A calibrated probability is worth what the calibration set is worth. When studies leave its range, a scanner, a "
    "protocol or the patients have changed, and the uncertainty is no longer what it says.",
    (
        Row(
            "Trust",
            (
                Panel(
                    "Uncertain share of the volume", "percentunit",
                    (
                        Query(_median("entrust_uncertain_volume_ratio", "task", '{task=~"$task"}'), "{{task}} median"),
                        Query(
                            _median("entrust_uncertain_volume_ratio", "task", '{task=~"$task"}', quantile=0.9),
                            "{{task}} p90",
                        ),
                        _reference("uncertain-volume"),
                    ),
                    "Of the segmented volume and its surroundings, studies of a day.",
                ),
                Panel(
                    "Conflict by pair of modalities", "percentunit",
                    (
                        Query(
                            _median("entrust_conflict_volume_ratio", "pair", '{task=~"$task"}', quantile=0.9),
                            "{{pair}} p90",
                        ),
                        _reference(".+-conflict"),
                    ),
                    "Where two modalities contradict each other. One pair that rises alone points at one scanner, or "
                    "at a registration that slipped.",
                ),
                Panel(
                    "Agreement of the hypotheses", "percentunit",
                    (
                        Query(
                            _median("entrust_hypotheses_agreement_ratio", "task", '{task=~"$task"}'), "{{task}} median"
                        ),
                        _reference("agreement"),
                    ),
                    "Mean pairwise Dice.",
                ),
                Panel(
                    "Studies by uncertain share", "percentunit",
                    (Query(
                        'sum by (le) (increase(entrust_uncertain_volume_ratio_bucket{task=~"$task"}[1h]))', "{{le}}"
                    ),),
                    "Each cell: studies of an hour.", "heatmap", 24,
                ),
            ),
        ),
        Row(
            "Drift against the calibration set",
            (
                Panel(
                    "Studies whose input is out of range", "percentunit",
                    (Query(_outside(INPUTS), "{{measure}}"), CHANCE),
                    "Share of a day's studies outside the calibration set's range, by measure. With n calibration "
                    "studies, 2 in n + 1 are outside by chance. One modality that leaves with all its measures: look "
                    "at its scanner first.", width=12,
                ),
                Panel(
                    "Studies whose trust is out of range", "percentunit",
                    (Query(_outside(TRUSTS), "{{measure}}"), CHANCE),
                    "The same for complete studies' trust.", width=12,
                ),
                _intensity("mean", "Over tissue, above the modality's darkest value: dose, tracer, contrast."),
                _intensity("spread", "Standard deviation over tissue."),
                _intensity("sharpness", "Mean step between neighbours: noise and reconstruction kernel."),
            ),
        ),
        Row(
            "What arrives",
            (
                Panel(
                    "Slice spacing", "lengthm",
                    (Query(
                        _median("entrust_input_slice_spacing_meters", "modality", '{task=~"$task"}'),
                        "{{modality}} median",
                    ),),
                    "As sent. A change is a change of protocol.",
                ),
                Panel(
                    "Coverage by modality", "percentunit",
                    (Query(
                        _median("entrust_input_coverage_ratio", "modality", '{task=~"$task"}'), "{{modality}} median"
                    ),),
                    "Share of the examined volume.",
                ),
                Panel(
                    "Tolerances used on input, by day", "short",
                    (Query(f"sum by (code) (increase(entrust_input_warnings_total[{DAY}]))", "{{code}}"),),
                    "modality-missing and its like.",
                ),
            ),
        ),
    ),
    span="now-7d",
)  # fmt: skip
