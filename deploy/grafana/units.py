"""Which unit a PromQL expression has, from the base units of its metrics: a panel's unit is checked, not believed.

A unit is a product of powers of seconds, bytes, meters and things (requests, jobs, steps), with a factor for metrics
that do not come in base units (Triton counts microseconds).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose

import promql_parser as promql

SECONDS_IN_MICROSECOND = 1e-6
SUFFIXES = ("_bucket", "_sum", "_count", "_total")
KEEP = frozenset(
    {"increase", "delta", "clamp_min", "clamp_max", "max_over_time", "min_over_time", "avg_over_time", "abs", "round",
     "sum_over_time", "last_over_time", "label_replace", "sort_desc"}
)  # fmt: skip
COMPARISONS = frozenset({">", "<", ">=", "<=", "==", "!=", "and", "unless"})


class UnitError(ValueError):
    """An expression mixes units, or has another than its panel."""


@dataclass(frozen=True)
class Dimension:
    """Powers of the base units, and what one of the value is worth in them."""

    seconds: int = 0
    bytes: int = 0
    meters: int = 0
    things: int = 0
    factor: float = 1.0

    def times(self, other: "Dimension", sign: int = 1) -> "Dimension":
        """Return the dimension of a product, or of a quotient with ``sign`` −1."""
        return Dimension(
            self.seconds + sign * other.seconds,
            self.bytes + sign * other.bytes,
            self.meters + sign * other.meters,
            self.things + sign * other.things,
            self.factor * other.factor**sign,
        )

    def same(self, other: "Dimension") -> bool:
        """Return whether both mean the same."""
        return replace(self, factor=1.0) == replace(other, factor=1.0) and isclose(self.factor, other.factor)


PLAIN, THINGS, SECONDS = Dimension(), Dimension(things=1), Dimension(seconds=1)
BASE: Mapping[str, Dimension] = {
    "seconds": SECONDS,
    "bytes": Dimension(bytes=1),
    "meters": Dimension(meters=1),
    "ratio": PLAIN,
    "utilization": PLAIN,
    "us": Dimension(seconds=1, factor=SECONDS_IN_MICROSECOND),
}
PANEL_UNITS: Mapping[str, tuple[Dimension, ...]] = {
    "s": (SECONDS, SECONDS.times(THINGS, -1)),  # a duration, or a duration for each of them
    "bytes": (BASE["bytes"],),
    "Bps": (BASE["bytes"].times(SECONDS, -1),),
    "percentunit": (PLAIN,),
    "reqps": (THINGS.times(SECONDS, -1),),
    "ops": (THINGS.times(SECONDS, -1),),
    "short": (PLAIN, THINGS),
    "lengthm": (BASE["meters"],),
}


def of_metric(name: str) -> Dimension:
    """Return the dimension of a series by its name, which carries its base unit."""
    if name == "up" or ":ratio" in name:
        return PLAIN
    if ":rate" in name:
        return THINGS.times(SECONDS, -1)
    if name.endswith(("_bucket", "_count")):
        return THINGS
    return base_unit(name)


def base_unit(name: str) -> Dimension:
    """Return what a metric measures: for a histogram, the unit of its buckets' bounds."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return BASE.get(name.rsplit("_", 1)[-1], THINGS)


def infer(expression: str) -> Dimension:
    """Return the dimension of an expression.

    Raises:
        UnitError: It adds what cannot be added, or uses what this does not know.
    """
    found = _infer(promql.parse(expression))
    if found is None:
        raise UnitError(f"{expression} has no unit")
    return found


def check(expression: str, unit: str, *, heatmap: bool = False) -> None:
    """Make sure that an expression's values are what a panel's unit says.

    Args:
        expression: PromQL, without Grafana's variables.
        unit: Grafana's unit.
        heatmap: Whether the unit is that of a histogram's buckets.

    Raises:
        UnitError: They are not.
    """
    found = _heatmap_rows(promql.parse(expression)) if heatmap else infer(expression)
    if not any(found.same(allowed) for allowed in PANEL_UNITS[unit]):
        raise UnitError(f"{expression} is {found}, not {unit}")


def metrics_of(expression: str) -> set[str]:
    """Return the names of the series that an expression reads."""
    found: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql.VectorSelector) and node.name:
            found.add(node.name)
        elif isinstance(node, promql.MatrixSelector):
            visit(node.vector_selector)
        elif isinstance(node, promql.BinaryExpr):
            visit(node.lhs)
            visit(node.rhs)
        elif isinstance(node, promql.Call):
            for argument in node.args:
                visit(argument)
        elif isinstance(node, promql.AggregateExpr | promql.ParenExpr | promql.SubqueryExpr | promql.UnaryExpr):
            visit(node.expr)

    visit(promql.parse(expression))
    return found


def _infer(node: object) -> Dimension | None:
    """Return the dimension; ``None`` for numbers, which take any."""
    if isinstance(node, promql.NumberLiteral):
        return None
    if isinstance(node, promql.ParenExpr | promql.SubqueryExpr | promql.UnaryExpr):
        return _infer(node.expr)
    if isinstance(node, promql.VectorSelector):
        return of_metric(node.name or "")
    if isinstance(node, promql.MatrixSelector):
        return of_metric(node.vector_selector.name or "")
    if isinstance(node, promql.AggregateExpr):
        return THINGS if str(node.op) == "count" else _infer(node.expr)
    if isinstance(node, promql.Call):
        return _infer_call(node)
    if isinstance(node, promql.BinaryExpr):
        return _infer_binary(node)
    raise UnitError(f"{node} is not known here")


def _infer_call(node: "promql.Call") -> Dimension | None:
    name = node.func.name
    if name in ("rate", "irate", "deriv"):
        counted = _infer(node.args[0])
        return None if counted is None else counted.times(SECONDS, -1)
    if name == "histogram_quantile":
        return _heatmap_rows(node.args[1])
    if name in ("time", "timestamp"):
        return SECONDS
    if name in KEEP:
        return _infer(node.args[0])
    if name == "vector":
        return None
    raise UnitError(f"{name}() is not known here")


def _infer_binary(node: "promql.BinaryExpr") -> Dimension | None:
    operator = str(node.op)
    left, right = _infer(node.lhs), _infer(node.rhs)
    if operator in COMPARISONS:
        return left
    if operator in ("*", "/"):
        sign = 1 if operator == "*" else -1
        if left is not None and right is not None:
            return left.times(right, sign)
        if operator == "/" and left is None and right is not None:
            return PLAIN.times(right, -1)
        known, literal = (left, node.rhs) if left is not None else (right, node.lhs)
        if known is None or not isinstance(literal, promql.NumberLiteral):
            return known
        return replace(known, factor=known.factor * literal.val**-sign)
    if left is not None and right is not None and not left.same(right):
        raise UnitError(f"{node} mixes {left} and {right}")
    return left if left is not None else right


def _heatmap_rows(node: object) -> Dimension:
    """Return the unit of the buckets of the one histogram below."""
    names = {name for name in metrics_of(str(node)) if name.endswith("_bucket")}
    if len(names) != 1:
        raise UnitError(f"{node} is not one histogram")
    return base_unit(names.pop())
