"""Jobs and delivery: what comes in, what waits, how it ends, what is handed over."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "$__rate_interval"

JOBS = Dashboard(
    "entrust-jobs",
    "EnTrust: jobs and delivery",
    "The queue of every gateway process, and how its jobs end.",
    (
        Row(
            "Queue",
            (
                Panel(
                    "Jobs by state", "short", (Query("sum by (state) (entrust_jobs)", "{{state}}"),),
                    "Jobs that are kept, over all processes; those that ended stay until they expire or are deleted.",
                ),
                Panel(
                    "Queue, of its capacity", "percentunit",
                    (Query("entrust_queue_depth_jobs / entrust_queue_capacity_jobs", "{{instance}}"),),
                    "By process, because each has a queue of its own. At 100 % callers are refused.", limit=0.8,
                ),
                Panel(
                    "Wait for a turn", "s",
                    tuple(
                        Query(
                            f"histogram_quantile({q}, sum by (le, task) (rate(entrust_job_wait_duration_seconds_bucket"
                            f'{{task=~"$task"}}[{RATE}])))', f"{{{{task}}}} p{q * 100:g}",
                        )
                        for q in (0.5, 0.95)
                    ),
                    "From acceptance to start.",
                ),
            ),
        ),
        Row(
            "Ends",
            (
                Panel(
                    "Jobs accepted and rejected", "ops",
                    (
                        Query(
                            f'sum by (priority) (rate(entrust_jobs_accepted_total{{task=~"$task"}}[{RATE}]))',
                            "accepted {{priority}}",
                        ),
                        Query(f"sum(rate(entrust_jobs_rejected_total[{RATE}]))", "rejected"),
                    ),
                    "Rejected: the queue was full.",
                ),
                Panel(
                    "Jobs by their end", "ops",
                    (Query(
                        f'sum by (task, outcome) (rate(entrust_jobs_finished_total{{task=~"$task"}}[{RATE}])) > 0',
                        "{{task}} {{outcome}}",
                    ),),
                    "succeeded, or the kind of error; only what occurs is drawn.",
                ),
                Panel(
                    "Duration by end", "s",
                    (Query(
                        "histogram_quantile(0.95, sum by (le, task, outcome) "
                        f'(rate(entrust_job_duration_seconds_bucket{{task=~"$task"}}[{RATE}])))',
                        "{{task}} {{outcome}} p95",
                    ),),
                    "From acceptance to the end.",
                ),
                Panel(
                    "Mean duration of stages", "s",
                    (Query(
                        f'sum by (stage) (rate(entrust_stage_duration_seconds_sum{{task=~"$task"}}[{RATE}])) / '
                        f'sum by (stage) (rate(entrust_stage_duration_seconds_count{{task=~"$task"}}[{RATE}]))',
                        "{{stage}}",
                    ),),
                    "ingest, prepare, inference, trust, encode.", width=24,
                ),
            ),
        ),
        Row(
            "Delivery",
            (
                Panel(
                    "Results handed over", "Bps",
                    (Query(f"sum by (door) (rate(entrust_results_delivered_bytes_total[{RATE}]))", "{{door}}"),),
                    "By door.", width=12,
                ),
                Panel(
                    "Results held for collection", "bytes",
                    (Query("sum by (instance) (entrust_results_retained_bytes)", "{{instance}}"),),
                    "They leave when they expire, when they are deleted, or oldest first when room runs out.", width=12,
                ),
            ),
        ),
    ),
)  # fmt: skip
