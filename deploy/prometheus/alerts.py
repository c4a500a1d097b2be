"""Every alert in one table. The sums go over gateway processes; what belongs to one process keeps its ``instance``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

RUNBOOK = "docs/runbook.md"
"""Where the runbook is read: a path of this repository; a deployment names its own copy."""

FAULTS = "overloaded|model-unavailable|inference-failed|deadline-exceeded|delivery-failed|internal"
"""Kinds of error that are the service's fault; the others are answers to a caller's mistake, and count as good."""

SLOW_SECONDS = 100.0
"""A bound of the histogram's buckets: a study that takes longer is late."""

WORKING_HOURS = "entrust:working_hours:bool"
WEEK = "1w offset 30m"
MIN_STEPS = 20
"""Sampling steps below which a mean over half an hour says nothing."""
LOW_FREE_RATIO = 0.15
"""Free share of the archive's disk from which somebody has to make room; by default nothing is taken below 0.05."""
STEP = "entrust_sampling_step_duration_seconds"
COMPARISONS = "entrust_calibration_comparisons_total"
CHANCE = "entrust:calibration_outside_chance:ratio"


@dataclass(frozen=True)
class Objective:
    """What is promised over 28 days.

    Attributes:
        slug: Middle of the recorded names.
        name: Beginning of the alerts' names.
        budget: Share that may be bad.
        bad: Studies per second that were bad; ``{w}`` stands for the window.
        all: Studies per second in all.
        words: What is bad about them.
    """

    slug: str
    name: str
    budget: float
    bad: str
    all: str
    words: str


AVAILABILITY = Objective(
    "study_failures", "EntrustAvailability", 0.01,
    f'sum(rate(entrust_jobs_finished_total{{outcome=~"{FAULTS}"}}[{{w}}])) + '
    "sum(rate(entrust_jobs_rejected_total[{w}]))",
    'sum(rate(entrust_jobs_finished_total{{outcome!="cancelled"}}[{w}])) + sum(rate(entrust_jobs_rejected_total[{w}]))'
    .replace("{{", "{").replace("}}", "}"),
    "were rejected or failed by our fault",
)  # fmt: skip
LATENCY = Objective(
    "study_slowness", "EntrustLatency", 0.05,
    'sum(rate(entrust_job_duration_seconds_count{outcome="succeeded"}[{w}])) - '
    f'sum(rate(entrust_job_duration_seconds_bucket{{outcome="succeeded", le="{SLOW_SECONDS}"}}[{{w}}]))',
    'sum(rate(entrust_job_duration_seconds_count{outcome="succeeded"}[{w}]))',
    f"took longer than {SLOW_SECONDS:.0f} seconds",
)  # fmt: skip
OBJECTIVES = (AVAILABILITY, LATENCY)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
MIN_STUDIES = 5
"""Studies in the longer window below which one bad study says nothing about a rate."""


@dataclass(frozen=True)
class Burn:
    """One pair of windows: the long one says that it matters, the short one that it still goes on."""

    rate: float
    long: str
    short: str
    long_seconds: int


FAST = (Burn(14.4, "1h", "5m", 3600), Burn(6.0, "6h", "30m", 21_600))
SLOW = (Burn(3.0, "1d", "2h", 86_400), Burn(1.0, "3d", "6h", 259_200))


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: Its name, and its heading in the runbook.
        expression: PromQL.
        hold: How long it must hold.
        severity: ``critical`` wakes somebody, ``warning`` is read in the morning.
        summary: One line.
        description: What it means, with values.
    """

    name: str
    expression: str
    hold: str
    severity: Literal["critical", "warning"]
    summary: str
    description: str

    @property
    def anchor(self) -> str:
        """Its heading's anchor in the runbook."""
        return self.name.lower()


def _burns(objective: Objective, pairs: tuple[Burn, ...]) -> str:
    ratio, rate = f"entrust:{objective.slug}:ratio_rate", f"entrust:{objective.slug}:rate"
    return "\nor\n".join(
        f"({ratio}{p.long} > {p.rate:g} * {objective.budget:g} and {ratio}{p.short} > {p.rate:g} * "
        f"{objective.budget:g} and {rate}{p.long} * {p.long_seconds} >= {MIN_STUDIES})"
        for p in pairs
    )


def _burn_alerts(objective: Objective) -> tuple[Alert, Alert]:
    share = "{{ $value | humanizePercentage }} of studies " + objective.words
    return (
        Alert(
            f"{objective.name}BurnsFast", _burns(objective, FAST), "2m", "critical",
            f"{share}.", f"At this rate the 28 days' budget of {objective.budget:.0%} is gone within days.",
        ),
        Alert(
            f"{objective.name}BurnsSlowly", _burns(objective, SLOW), "15m", "warning",
            f"{share}.", f"The 28 days' budget of {objective.budget:.0%} will not last.",
        ),
    )  # fmt: skip


def _step(what: str, window: str) -> str:
    """Return sums over the step histogram; its quantiles would jump from bucket to bucket, its mean is exact."""
    interval, _, offset = window.partition(" ")
    return f"sum by (task, sampler, precision) ({what}[{interval}] {offset}".rstrip() + "))"


def _mean_step(window: str) -> str:
    return f"{_step(f'rate({STEP}_sum', window)} / {_step(f'rate({STEP}_count', window)}"


def _drifts(window: str) -> str:
    """Return the share of studies outside the calibration set's range where it is more than chance explains."""
    outside = f'sum by (task, measure) (increase({COMPARISONS}{{verdict!="within"}}[{window}]))'
    every = f"sum by (task, measure) (increase({COMPARISONS}[{window}]))"
    deviation = f"sqrt(max by (task) ({CHANCE} * (1 - {CHANCE})) / on (task) group_right () {every})"
    return (
        f"({outside} / {every}\n"
        f"> on (task, measure) (max by (task) ({CHANCE}) + on (task) group_right () 3 * {deviation})\n"
        f"and {every} >= {MIN_STUDIES})"
    )


ALERTS: tuple[Alert, ...] = (
    *_burn_alerts(AVAILABILITY),
    *_burn_alerts(LATENCY),
    Alert(
        "EntrustTargetDown", 'up{job=~".*entrust.*"} == 0', "2m", "critical",
        "{{ $labels.job }} at {{ $labels.instance }} does not answer Prometheus.",
        "A gateway process or a Triton is gone, hangs, or cannot be reached.",
    ),
    Alert(
        "EntrustCanaryFails",
        'sum by (instance, model) (increase(entrust_triton_canaries_total{outcome="wrong"}[10m])) > 0\n'
        "or\n"
        'sum by (instance, model) (increase(entrust_triton_canaries_total{outcome="late"}[10m])) > 0\n'
        'unless sum by (instance, model) (increase(entrust_triton_canaries_total{outcome="ok"}[10m])) > 0',
        "1m", "critical",
        "Model {{ $labels.model }} at {{ $labels.instance }} does not answer its canary as it should.",
        "In ten minutes a canary was answered wrongly, or none was answered at all. Triton may say ready all the same.",
    ),
    Alert(
        "EntrustStepSlowerThanItsWeek",
        f"{_mean_step('30m')}\n> 1.5 * {_mean_step(WEEK)}\n"
        f"and {_step(f'increase({STEP}_count', '30m')} >= {MIN_STEPS}\n"
        f"and {_step(f'increase({STEP}_count', WEEK)} >= {MIN_STEPS}",
        "15m", "warning",
        "A sampling step of {{ $labels.task }} takes {{ $value | humanizeDuration }}, far above its week.",
        "The mean over half an hour is more than 1.5 times the mean of the week before.",
    ),
    Alert(
        "EntrustQueueSaturated", "entrust_queue_depth_jobs / entrust_queue_capacity_jobs > 0.8", "5m", "warning",
        "The queue of {{ $labels.instance }} is {{ $value | humanizePercentage }} full.",
        "When it is full, callers are refused with 429 and asked to come again.",
    ),
    Alert(
        "EntrustStudiesFailed", 'sum by (instance) (entrust_studies{state="failed"}) > 0', "5m", "warning",
        "{{ $value }} studies at {{ $labels.instance }} are dead letters.",
        "They failed in a way that time does not heal, or for too long; nothing more happens to them by itself.",
    ),
    Alert(
        "EntrustStudiesWait", "max by (instance) (entrust_studies_oldest_queued_seconds) > 1800", "5m", "warning",
        "A study at {{ $labels.instance }} has waited for {{ $value | humanizeDuration }}.",
        "Studies from the PACS arrive faster than they are segmented, or nothing is segmented at all.",
    ),
    Alert(
        "EntrustStubDied", "sum by (instance, model) (increase(entrust_triton_stub_deaths_total[15m])) > 0", "0m",
        "warning",
        "A process of model {{ $labels.model }} at {{ $labels.instance }} died.",
        "The gateway loads the model again by itself; studies in flight repeat their calls. Find out what killed it.",
    ),
    Alert(
        "EntrustArchiveFills", f"entrust_archive_free_ratio < {LOW_FREE_RATIO}", "10m", "warning",
        "The archive's disk at {{ $labels.instance }} has {{ $value | humanizePercentage }} left.",
        "When it is too full, nothing more is taken from the PACS, and results have no place.",
    ),
    Alert(
        "EntrustDeliveryTargetDown", "entrust_delivery_targets_down == 1", "5m", "warning",
        "The receiver {{ $labels.target }} does not answer {{ $labels.instance }}.",
        "Results for it wait, and are tried again one by one. Nothing is lost while the gateway's disk has room.",
    ),
    Alert(
        "EntrustDeliveryRefused",
        'sum by (target) (increase(entrust_delivery_attempts_total{outcome="refused"}[15m])) > 0', "0m", "warning",
        "Results were refused by, or held back from, the receiver {{ $labels.target }}.",
        "They are not tried again by themselves: somebody has to see why, and deliver them anew.",
    ),
    Alert(
        "EntrustNoStudiesInWorkingHours",
        'sum(increase({__name__=~"entrust_jobs_accepted_total|entrust_studies_finished_total"}[2h])) == 0\n'
        f"and on () {WORKING_HOURS} == 1\n"
        f"and on () {WORKING_HOURS} offset 2h == 1",
        "5m", "warning",
        "No study has come in for two working hours.",
        "The service is well, as far as it can tell; perhaps nobody can reach it, or the sender has stopped.",
    ),
    Alert(
        "EntrustCalibrationDrift",
        f"{_drifts('1d')}\nor\n{_drifts('1w')}",
        "30m", "warning",
        "{{ $value | humanizePercentage }} of recent studies have {{ $labels.measure }} outside the calibration set's "
        "range ({{ $labels.task }}).",
        "Studies no longer look like those on which the uncertainty was calibrated: the first sign of another scanner, "
        "protocol or tracer. Calibrated probabilities are not to be relied on until it is understood.",
    ),
)  # fmt: skip


def recording_rules() -> list[Mapping[str, str]]:
    """Return the ratios and rates of each objective over each window, and whether these are working hours."""
    rules: list[Mapping[str, str]] = [
        {"record": WORKING_HOURS, "expr": "vector(1) and on () (hour() >= 8 < 17) and on () (day_of_week() >= 1 < 6)"}
    ]
    # One more study lies outside the range of n others in 2 of n + 1 cases. Once those n are drawn, the share is a
    # number of Beta(2, n - 1); two standard deviations above its mean is what studies like them hardly reach.
    n = "max by (task) (entrust_calibration_reference_studies)"
    rules.append({"record": CHANCE, "expr": f"2 / ({n} + 1) + 2 * sqrt(2 * ({n} - 1) / (({n} + 1) ^ 2 * ({n} + 2)))"})
    for objective in OBJECTIVES:
        for window in WINDOWS:
            bad, every = objective.bad.replace("{w}", window), objective.all.replace("{w}", window)
            rules.append({"record": f"entrust:{objective.slug}:rate{window}", "expr": every})
            rules.append({"record": f"entrust:{objective.slug}:ratio_rate{window}", "expr": f"({bad}) / ({every})"})
    return rules


def alerting_rules(runbook: str = RUNBOOK) -> list[Mapping[str, object]]:
    """Return the alerts as Prometheus reads them.

    Args:
        runbook: Address of the runbook.
    """
    return [
        {
            "alert": alert.name,
            "expr": alert.expression,
            "for": alert.hold,
            "labels": {"severity": alert.severity, "service": "entrust"},
            "annotations": {
                "summary": alert.summary,
                "description": alert.description,
                "runbook_url": f"{runbook}#{alert.anchor}",
            },
        }
        for alert in ALERTS
    ]
