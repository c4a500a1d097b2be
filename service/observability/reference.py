"""Write ``docs/metrics.md`` from the definitions: ``python -m service.observability.reference > docs/metrics.md``."""

from service.observability.definitions import DEFINITIONS, Definition

HEAD = """\
# Metrics

<!-- Written by `python -m service.observability.reference`; change service/observability/definitions.py instead. -->

`GET /metrics` speaks Prometheus' text format, and OpenMetrics to scrapers that prefer it. Names are
`entrust_<noun>_<base unit>`; counters end in `_total`. Every label has a bounded set of values; none identifies
anybody. [monitoring.md](monitoring.md) says how to scrape, and shows the dashboards and alerts made of these.
"""

TAIL = """
## Beside these

`process_…` are the Python client's (CPU, memory, open files). Triton's own metrics are at its own address: the
embedded server's is set by `ENTRUST_TRITON__METRICS_PORT`. Their counters of time are in microseconds (`…_duration_us`)
and do not end in `_total`; the dashboards divide them into seconds.

## Questions worth a panel

```promql
histogram_quantile(0.95, sum by (le, task) (rate(entrust_sampling_step_duration_seconds_bucket[5m])))
sum by (step_index) (rate(entrust_sampling_steps_seconds_total[5m]))
  / sum by (step_index) (rate(entrust_sampling_steps_total[5m]))
sum by (outcome) (rate(entrust_jobs_finished_total[15m]))
histogram_quantile(0.5, sum by (le, pair) (rate(entrust_conflict_volume_ratio_bucket[1d])))
sum by (measure) (increase(entrust_calibration_comparisons_total{verdict!="within"}[1d]))
  / sum by (measure) (increase(entrust_calibration_comparisons_total[1d]))
```
"""


def render() -> str:
    """Return the document: a table for each group, in the order of the definitions."""
    groups = dict.fromkeys(definition.group for definition in DEFINITIONS)
    parts = [HEAD]
    for group in groups:
        rows = "\n".join(_row(definition) for definition in DEFINITIONS if definition.group == group)
        parts.append(f"\n## {group}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n{rows}\n")
    return "".join([*parts, TAIL])


def _row(definition: Definition) -> str:
    meaning = definition.help.rstrip(".").replace("|", "\\|")
    labels = ", ".join(definition.labels)
    return f"| `{definition.name}` | {definition.kind} | {definition.unit} | {labels} | {meaning} |"


if __name__ == "__main__":
    print(render(), end="")
