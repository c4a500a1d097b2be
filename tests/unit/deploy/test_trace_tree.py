"""A trace as a tree."""

from deploy.traces.receiver import ReceivedSpan
from deploy.traces.tree import draw, roots


def made(name: str, number: int, parent: int, start: float, **attributes: object) -> ReceivedSpan:
    facts = {f"entrust.{key}": value for key, value in attributes.items()}
    ids = (f"{number:016x}", f"{parent:016x}" if parent else "")
    return ReceivedSpan(
        "a" * 32, *ids, name, "internal", start, start + 0.5, facts, {"service.name": "s"}, False, "", 0
    )


def test_children_stand_below_their_parent_and_many_of_a_name_are_counted() -> None:
    steps = [made("sampling_step", 10 + n, 2, 10.0 + n, step=n) for n in range(5)]
    spans = [made("request", 1, 0, 9.0), made("job", 2, 1, 9.5), *steps, made("encode", 3, 2, 20.0)]
    assert [span.name for span in roots(spans)] == ["request"]
    words = [line[42:] for line in draw(spans).splitlines()[1:]]
    assert words == [
        "request",
        "└─ job",
        "   ├─ sampling_step  step=0",
        "   ├─ sampling_step  step=1",
        "   ├─ encode",
        "   └─ sampling_step  … 3 more",
    ]
    assert draw(spans).splitlines()[-1].split()[:2] == ["3000.0", "1500.0"], "of the others the sum"


def test_a_parent_that_did_not_come_makes_a_root() -> None:
    assert [span.name for span in roots([made("one", 1, 9, 0.0), made("two", 2, 1, 0.0)])] == ["one"]
