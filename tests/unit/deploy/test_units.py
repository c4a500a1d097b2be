"""The unit of an expression follows from its metrics, and a panel that says otherwise is caught."""

import pytest

from deploy.grafana.units import UnitError, check, infer, metrics_of

STEP = "entrust_sampling_step_duration_seconds"


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        (f"histogram_quantile(0.9, sum by (le) (rate({STEP}_bucket[5m])))", "s"),
        (f"rate({STEP}_sum[5m]) / rate({STEP}_count[5m])", "s"),
        (f"sum(rate({STEP}_count[5m]))", "ops"),
        ("rate(nv_inference_queue_duration_us[5m]) / 1e6 / rate(nv_inference_exec_count[5m])", "s"),
        ("rate(nv_inference_queue_duration_us[5m]) / 1e6", "short"),
        ("rate(entrust_triton_payload_bytes_total[5m])", "Bps"),
        ("entrust_results_retained_bytes", "bytes"),
        ("sum(rate(a_total[5m])) / sum(rate(b_total[5m]))", "percentunit"),
        ("1 - sum(increase(a_total[5m])) / sum(increase(b_total[5m]))", "percentunit"),
        ("histogram_quantile(0.5, rate(entrust_conflict_volume_ratio_bucket[1d]))", "percentunit"),
        ("histogram_quantile(0.5, rate(entrust_input_slice_spacing_meters_bucket[1d]))", "lengthm"),
        ("increase(entrust_triton_repairs_total[1h]) > 0", "short"),
        ("avg by (job) (up)", "percentunit"),
    ],
)
def test_a_right_unit_passes(expression: str, unit: str) -> None:
    check(expression, unit)


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        (f"histogram_quantile(0.9, sum by (le) (rate({STEP}_bucket[5m])))", "short"),
        ("rate(nv_inference_queue_duration_us[5m]) / rate(nv_inference_exec_count[5m])", "s"),  # microseconds
        ("rate(nv_inference_queue_duration_us[5m]) / 1e3 / rate(nv_inference_exec_count[5m])", "s"),
        ("100 * sum(rate(a_total[5m])) / sum(rate(b_total[5m]))", "percentunit"),
        ("sum(increase(a_total[5m]))", "reqps"),
        ("entrust_results_retained_bytes", "s"),
        ("rate(entrust_triton_payload_bytes_total[5m])", "bytes"),
    ],
)
def test_a_wrong_unit_is_caught(expression: str, unit: str) -> None:
    with pytest.raises(UnitError):
        check(expression, unit)


def test_what_cannot_be_added_is_caught() -> None:
    with pytest.raises(UnitError, match="mixes"):
        infer("rate(entrust_triton_payload_bytes_total[5m]) + rate(entrust_triton_calls_total[5m])")


def test_a_heatmap_has_the_unit_of_its_buckets() -> None:
    check(f"sum by (le) (increase({STEP}_bucket[1m]))", "s", heatmap=True)
    with pytest.raises(UnitError):
        check(f"sum by (le) (increase({STEP}_bucket[1m]))", "short", heatmap=True)


def test_every_metric_of_an_expression_is_found() -> None:
    assert metrics_of("clamp_min(sum(rate(a_sum[1m])) - (b + c{x='y'}), 0) / on (z) max by (z) (d offset 5m)") == {
        "a_sum", "b", "c", "d",
    }  # fmt: skip
