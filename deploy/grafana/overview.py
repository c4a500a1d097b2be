"""Service overview: rate, errors and duration by door, and whether the objectives are kept."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "$__rate_interval"


def _quantile(quantile: float, metric: str, by: str, selector: str = "", window: str = RATE) -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate({metric}_bucket{selector}[{window}])))"


OVERVIEW = Dashboard(
    "entrust-overview",
    "EnTrust: service overview",
    "Is the service doing its work? Sums over every gateway process that Prometheus scrapes.",
    (
        Row(
            "Now",
            (
                Panel(
                    "Processes that answer", "percentunit",
                    (Query('avg by (job) (up{job=~".*entrust.*"})', "{{job}}"),),
                    "Share of scrape targets that answer: gateways and Tritons.",
                    "stat", 6,
                ),
                Panel(
                    "Jobs that run or wait", "short",
                    (Query('sum by (state) (entrust_jobs{state=~"queued|running"})', "{{state}}"),),
                    "Over all processes.", "stat", 6,
                ),
                Panel(
                    "Studies that failed by our fault, last hour", "percentunit",
                    (Query("entrust:study_failures:ratio_rate1h", "failed"),),
                    "Rejected because the queue was full, or ended by an error that is not the caller's. "
                    "The objective allows 1 %.", "stat", 6, 0.01,
                ),
                Panel(
                    "Studies slower than 100 s, last hour", "percentunit",
                    (Query("entrust:study_slowness:ratio_rate1h", "slow"),),
                    "Of those that succeeded, waiting included. The objective allows 5 %.", "stat", 6, 0.05,
                ),
            ),
        ),
        Row(
            "Doors",
            (
                Panel(
                    "Requests by door", "reqps",
                    (Query(f"sum by (door) (rate(entrust_door_requests_total[{RATE}]))", "{{door}}"),),
                    "Without health checks and scrapes.",
                ),
                Panel(
                    "Errors by door", "percentunit",
                    (Query(
                        f'sum by (door, outcome) (rate(entrust_door_requests_total{{outcome!="ok"}}[{RATE}])) / '
                        f"on (door) group_left sum by (door) (rate(entrust_door_requests_total[{RATE}])) > 0",
                        "{{door}} {{outcome}}",
                    ),),
                    "refused: the caller's fault; overloaded: the queue was full; failed: ours; left: the caller went.",
                ),
                Panel(
                    "Duration by door", "s",
                    tuple(
                        Query(
                            _quantile(q, "entrust_door_request_duration_seconds", "door"), f"{{{{door}}}} p{q * 100:g}"
                        )
                        for q in (0.5, 0.95)
                    ),
                    "First byte to last; a request that waits for its job takes as long as the job.",
                ),
                Panel(
                    "Requests by route and status", "reqps",
                    (Query(
                        f"sum by (method, route, status) "
                        f'(rate(entrust_http_requests_total{{route!~"/metrics|/health/.+"}}[{RATE}]))',
                        "{{method}} {{route}} {{status}}",
                    ),),
                    "REST alone, without health checks and scrapes.",
                ),
                Panel(
                    "Calls by method and code", "reqps",
                    (Query(
                        f"sum by (method, code) "
                        f'(rate(entrust_rpc_requests_total{{method!~"grpc.health.+|grpc.reflection.+"}}[{RATE}]))',
                        "{{method}} {{code}}",
                    ),),
                    "gRPC alone, without health checks and reflection.",
                ),
                Panel(
                    "Problems told to callers", "ops",
                    (Query(f"sum by (kind) (rate(entrust_problems_total[{RATE}])) > 0", "{{kind}}"),),
                    "By kind, only what occurs; docs/problems.md says what each means.",
                ),
            ),
        ),
        Row(
            "Studies and processes",
            (
                Panel(
                    "Duration of studies", "s",
                    tuple(
                        Query(
                            _quantile(q, "entrust_job_duration_seconds", "task",
                                      '{outcome="succeeded", task=~"$task"}'),
                            f"{{{{task}}}} p{q * 100:g}",
                        )
                        for q in (0.5, 0.95)
                    ),
                    "From acceptance to the end, of those that succeeded.", limit=100.0,
                ),
                Panel(
                    "CPU by process", "short",
                    (Query(
                        f'sum by (instance) (rate(process_cpu_seconds_total{{job=~".*entrust.*"}}[{RATE}]))',
                        "{{instance}}",
                    ),),
                    "Cores that a gateway process keeps busy; Triton's are not in it.",
                ),
                Panel(
                    "Memory by process", "bytes",
                    (Query('sum by (instance) (process_resident_memory_bytes{job=~".*entrust.*"})', "{{instance}}"),),
                    "Resident memory of each gateway process. It should be flat.",
                ),
            ),
        ),
    ),
    span="now-6h",
)  # fmt: skip
