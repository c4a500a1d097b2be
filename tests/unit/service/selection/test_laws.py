"""Laws of conditions: logic is logic, sets are sets, order is order, for any series and any condition."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.selection.conditions import AllOf, AnyOf, Condition, Contrast, Images, Not, Range, TagCondition
from service.selection.evaluation import Context, check
from service.selection.regexes import found_in
from service.selection.tags import numbers, shown, texts
from service.study import SeriesHeader
from tests.factories.selections import header

VALUES = ["AXIAL", "axial", "DERIVED", "12", 12, 12.0, 3.5]
SERIES = st.builds(
    lambda images, image_type, voltage, words: header(
        "CT", 1, words, images=images, ImageType=tuple(image_type), KVP=voltage
    ),
    st.integers(2, 9), st.lists(st.sampled_from(VALUES), max_size=3), st.sampled_from([None, 80.0, 120.0, "x"]),
    st.sampled_from(["CT post", "CT pre", "CT"]),
)  # fmt: skip
LEAVES = st.one_of(
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(
        lambda v: TagCondition(tag="ImageType", contains_any=v)
    ),
    st.sampled_from(VALUES).map(lambda v: TagCondition(tag="ImageType", equals=v)),
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda b: Images(images=Range(min=min(b), max=max(b)))),
    st.booleans().map(lambda b: Contrast(contrast=b)),
    st.booleans().map(lambda b: TagCondition(tag="KVP", present=b)),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda several: AllOf(all=several))
        | st.lists(inner, min_size=1, max_size=3).map(lambda several: AnyOf(any=several))
        | inner.map(lambda one: Not.model_validate({"not": one}))
    ),
    max_leaves=6,
)
CONTEXT = Context()


def met(condition: Condition, series: SeriesHeader) -> bool:
    return check(condition, series, CONTEXT).met


def negation(condition: Condition) -> Condition:
    return Not.model_validate({"not": condition})


@given(SERIES, CONDITIONS, CONDITIONS)
def test_logic(series: SeriesHeader, a: Condition, b: Condition) -> None:
    assert met(negation(negation(a)), series) is met(a, series)
    assert met(negation(AllOf(all=[a, b])), series) is met(AnyOf(any=[negation(a), negation(b)]), series)
    assert met(AllOf(all=[a, b]), series) is (met(a, series) and met(b, series))
    assert met(AllOf(all=[a, b]), series) is met(AllOf(all=[b, a]), series)


@given(SERIES, st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
def test_sets(series: SeriesHeader, values: list[Any]) -> None:
    tag = "ImageType"
    contains_any = met(TagCondition(tag=tag, contains_any=values), series)
    assert met(TagCondition(tag=tag, contains_none=values), series) is not contains_any
    each = [met(TagCondition(tag=tag, contains_any=[value]), series) for value in values]
    assert met(TagCondition(tag=tag, contains_all=values), series) is all(each)
    assert contains_any is any(each)
    assert met(TagCondition(tag=tag, any_of=values), series) is any(
        met(TagCondition(tag=tag, equals=value), series) for value in values
    )


@given(SERIES, st.integers(0, 12), st.integers(0, 12))
def test_ranges_grow(series: SeriesHeader, low: int, more: int) -> None:
    if met(Images(images=Range(min=low, max=low + 1)), series):
        assert met(Images(images=Range(min=max(0, low - more), max=low + 1 + more)), series)


@given(st.text(max_size=50) | st.integers() | st.floats() | st.lists(st.text(max_size=9)).map(tuple) | st.none())
def test_any_value_of_a_tag_can_be_looked_at(value: Any) -> None:
    for keyword in ("SeriesDescription", "PatientName", "KVP", "ImageType", "StudyDate"):
        assert isinstance(shown(keyword, value), str)
    assert all(isinstance(text, str) for text in texts(value))
    assert all(isinstance(number, float) for number in numbers(value))


@given(st.text(alphabet=st.characters(), max_size=50))
def test_any_text_can_be_searched(text: str) -> None:
    assert found_in("^", text)


def test_time_is_linear_where_others_take_ages() -> None:
    # a backtracking engine needs some 2^1000 steps for this
    assert not found_in("^(a+)+$", "a" * 1000 + "b")
    assert not found_in("^(a|aa|a?)*$", "a" * 1000 + "!")
