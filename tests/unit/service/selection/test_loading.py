"""A rules file is read whole, or every fault in it is named with its line; any bytes give one or the other."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrust.contract import TASKS as SHIPPED_TASKS
from entrust.errors import EnTrustError, InvalidInputError, NotFoundError
from service.selection import Rules, default_rules, load_rules, parse_rules
from service.selection.loading import default_text
from service.selection.yaml_lines import MAX_BYTES, MAX_DEPTH
from tests.factories.rules_files import BOTH_TASKS, TASKS, parse

TAIL = """
tasks:
  - task: oncology
    roles:
      ct: {}
"""
ROLE = "version: 1\ntasks:\n  - task: oncology\n    roles:\n      ct:\n        take:\n          - "


def refusal(text: str | bytes) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as raised:
        parse_rules(text if isinstance(text, bytes) else text.encode(), TASKS)
    return raised.value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 0, "empty"),
        ("# nothing\n", 0, "empty"),
        ("version: 1\n", 1, '"tasks" is missing'),
        ("- 1\n", 1, "keys with values"),
        ("just text", 1, "keys with values"),
        ("version: 2" + TAIL, 1, "should be 1"),
        ("version: 1\nversion: 1" + TAIL, 2, '"version" comes twice'),
        ("version: 1\nexcludes: []" + TAIL, 2, '"excludes" means nothing here'),
        ("version: 1\nDoe^John: []" + TAIL, 2, "(not shown) means nothing here"),
        ("version: 1\ntasks: []\n", 2, "at least 1"),
        ("version: 1\n3: 4" + TAIL, 2, "a key must be a word"),
        ("version: 1\ntasks:\n  - task: oncology\n     roles: {}\n", 4, "no YAML"),
        ("version: 1\ntasks: [\n", 3, "no YAML"),
        ("version: 1\nx: \tfoo: *\n", 2, "no YAML"),
        ("version: 1\ntasks: &a\n  - *a\n", 3, "aliases"),
        ("version: 1\ntasks: !!python/object:os.system\n  - 1\n", 2, "tags (!name)"),
        ("version: 1\ntasks: !!set {a}\n", 2, "tags (!name)"),
        ("version: 1\ntasks:\n  - task: knitting\n    roles: {ct: {}}\n", 3, "task, known are: oncology, brain"),
        ("version: 1\ntasks:\n  - task: oncology\n    roles:\n      ct: {}\n      flair: {}\n", 6, "no such modality"),
        (BOTH_TASKS + "  - task: brain\n    roles: {t1: {}}\n", 15, "rules already"),
        (ROLE + "{tag: SeriesDescripton, equals: x}\n", 7, "did you mean SeriesDescription?"),
        (ROLE + "{tag: '(0009,1001)', equals: x}\n", 7, "no attribute with this tag"),
        (ROLE + "{tag: PixelData, present: true}\n", 7, "neither text nor numbers"),
        (ROLE + "{tag: KVP}\n", 7, "exactly one of"),
        (ROLE + "{tag: KVP, equals: 1, regex: x}\n", 7, "exactly one of"),
        (ROLE + "tag: KVP\n            equals: [1]\n", 8, "text belongs here"),
        (ROLE + "{tag: KVP, range: {min: 3, max: 2}}\n", 7, "min is larger than max"),
        (ROLE + "{tag: KVP, range: {}}\n", 7, "min, max or both"),
        (ROLE + "{tag: Manufacturer, range: {min: 1}}\n", 7, "holds numbers"),
        (ROLE + "tag: SeriesDescription\n            regex: '(unclosed'\n", 8, "no regular expression"),
        (ROLE + r"{tag: SeriesDescription, regex: '(a)\1'}" + "\n", 7, "no regular expression"),
        (ROLE + "{tag: SeriesDescription, regex: '" + "a" * 300 + "'}\n", 7, "longer than 256"),
        (ROLE + "{tag: SeriesDescription, regex: '((a{1,999}){1,999}){1,999}'}\n", 7, "no regular expression"),
        (ROLE + "{tag: PatientName, regex: '^QA'}\n", 7, "PatientName names a person, and only an exclusion"),
        (ROLE + "{tag: AccessionNumber, present: true}\n", 7, "names a person"),
        (ROLE + "any:\n            - contrast: true\n            - use: thin\n", 9, "no definition of this name"),
        (ROLE + "not: {not: {tag: ReferringPhysicianName, present: true}}\n", 7, "names a person"),
        (ROLE + "{orientation: axial, tolerance_degrees: 50}\n", 7, "less than 45"),
        (ROLE + "{orientation: diagonal}\n", 7, "'axial'"),
        (ROLE + "{description_words: [two words]}\n", 7, "no single lower-case words"),
        (ROLE + "{mr_sequence: [t3]}\n", 7, "'t1'"),
        (ROLE + "{contrast: 'yes'}\n", 7, "boolean"),
        (ROLE + "{contrast: yes}\n", 7, "boolean"),
        (ROLE + "{sop_class: [CTImage]}\n", 7, "SOP class"),
        (ROLE + "{modality: CT}\n", 7, "no condition: one has a key of tag"),
        (ROLE + "{all: []}\n", 7, "at least 1"),
        (ROLE + "{use: thin}\n", 7, "no definition of this name"),
        ("version: 1\ndefine:\n  a: {contrast: true}\n  b:\n    not: {use: a}" + TAIL, 5, "cannot use another"),
        ("version: 1\nexclude:\n  - {name: own-results, when: [contrast: true], because: x}" + TAIL, 3, "already"),
        ("version: 1\nexclude:\n  - {name: A B, when: [contrast: true], because: x}" + TAIL, 3, "match pattern"),
        ("version: 1\ncomplete_when: {any: [{quiet: 3}]}" + TAIL, 2, "no signal"),
        ("version: 1\ncomplete_when: {}" + TAIL, 2, "any or all"),
        ("version: 1\ncomplete_when: {any: [quiet_seconds: -1]}" + TAIL, 2, "greater than or equal to 0"),
        (ROLE.replace("take", "prefer") + "{largest: Pixels}\n", 7, "no attribute"),
        (ROLE.replace("take", "prefer") + "{smallest: PatientID}\n", 7, "cannot be a preference"),
        (ROLE.replace("take", "prefer") + "{biggest: images}\n", 7, "no condition"),
        (b"version: 1\n\xff\xfe" + TAIL.encode(), 2, "no UTF-8"),
        (b"version: 1\n\x00" + TAIL.encode(), 2, "not allowed"),
        ("version: 1\nx: " + "[" * (MAX_DEPTH + 1), 2, "deep"),
        ("x: " + "y" * MAX_BYTES, 0, "larger than"),
        ("- " * 20, 1, "keys with values"),
        ("[" + "a, " * 21_000 + "]", 1, "says too much"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(text: str | bytes, line: int, words: str) -> None:
    error = refusal(text)
    told = f"line {line}: " if line else ""
    assert re.search(re.escape(told) + "[^;]*" + re.escape(words), error.message), error.message
    assert (f"line_{line}" in error.details) is True
    assert "entrust rules check" in error.fix


def test_all_faults_are_told_at_once_in_their_order() -> None:
    error = refusal(ROLE + "{tag: Kvp, equals: 1}\n          - {images: {}}\n          - {contrast: 3}\n")
    assert [key for key in error.details if key.startswith("line")] == ["line_7", "line_8", "line_9"]
    assert error.message.index("line 7") < error.message.index("line 8") < error.message.index("line 9")


def test_no_message_repeats_a_value() -> None:
    for secret in ("Doe^John", "1.2.3.4.5"):
        for text in (
            ROLE + f"{{orientation: {secret}}}\n", ROLE + f"{{tag: {secret}, equals: 1}}\n",
            ROLE + f"{{tag: KVP, range: {secret}}}\n", f"version: {secret}" + TAIL, ROLE + f"{{use: {secret}}}\n",
        ):  # fmt: skip
            assert secret not in str(refusal(text)) + str(refusal(text).details)


def test_the_cost_of_a_file_is_bounded_with_every_use_counted() -> None:
    part = "{any: [" + ", ".join(["{contrast: true}"] * 40) + "]}"
    text = f"version: 1\ndefine: {{long: {part}}}\n" + ROLE.removeprefix("version: 1\n")
    uses = "\n          - ".join(["use: long"] * 7)
    assert parse(text + uses + "\n")
    assert (
        "the rules come to 328 conditions, and 300 are allowed"
        in refusal(text + uses + "\n          - use: long\n").message
    )


def test_an_exclusion_may_look_at_names() -> None:
    text = "version: 1\nexclude:\n  - {name: qa, because: QA., when: [{tag: PatientName, regex: '^QA'}]}" + TAIL
    assert parse(text).exclude[0].name == "qa"


def test_plain_words_are_what_yaml_1_2_says() -> None:
    rules = parse(ROLE + "{tag: BodyPartExamined, any_of: [NO, yes, 2030-01-01, 0123, 1:30]}\n")
    take = rules.tasks[0].roles["ct"].take
    assert take is not None
    assert take[0].any_of == ["NO", "yes", "2030-01-01", "0123", "1:30"]  # type: ignore[union-attr]


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_rules(b"\xef\xbb\xbf" + BOTH_TASKS.encode(), TASKS).tasks[0].task == "brain"


def test_the_shipped_rules_cover_every_task_and_modality() -> None:
    for name, task in SHIPPED_TASKS.items():
        rules = default_rules().for_task(name)
        assert rules is not None
        assert tuple(rules.roles) == task.slugs


def test_a_file_is_read_and_a_missing_one_is_said(tmp_path: Path) -> None:
    assert load_rules(None, SHIPPED_TASKS) is default_rules()
    file = tmp_path / "rules.yaml"
    file.write_text(default_text())
    assert load_rules(file, SHIPPED_TASKS) == default_rules()
    for wrong in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(NotFoundError) as raised:
            load_rules(wrong, SHIPPED_TASKS)
        assert str(tmp_path) not in str(raised.value)


def _read(content: bytes) -> None:
    with suppress(EnTrustError):
        assert isinstance(parse_rules(content, TASKS), Rules)


BYTES = settings(max_examples=200, deadline=None)
SHIPPED = default_text().encode()


@BYTES
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    _read(content)


@BYTES
@given(st.text(alphabet="{}[]:,-|>&*!%@`'\"#? \n\tab1.~\\ud800", max_size=200))
def test_any_text_of_yaml(text: str) -> None:
    _read(text.encode())


@BYTES
@given(
    st.lists(st.tuples(st.integers(0, len(SHIPPED) - 1), st.integers(0, 255)), min_size=1, max_size=20),
    st.integers(0, len(SHIPPED)),
)
def test_damaged_rules(changes: list[tuple[int, int]], end: int) -> None:
    content = bytearray(SHIPPED)
    for at, value in changes:
        content[at] = value
    _read(bytes(content[:end]))
    _read(bytes(content))


@BYTES
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["x", "KVP", "axial", '"\\ud800"']),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tag", "equals", "all", "any", "not", "use", "images", "min", "regex", "largest"]),
            inner, max_size=3,
        ),
        max_leaves=12,
    ),
    st.sampled_from(["take", "prefer", "warn", "on_tie", "required"]),
)  # fmt: skip
def test_any_structure_in_a_role(value: object, key: str) -> None:
    import json

    flow = json.dumps(value).replace('"\\"\\\\ud800\\""', '"\\ud800"')
    _read(f"version: 1\ntasks: [{{task: oncology, roles: {{ct: {{{key}: {flow}}}}}}}]".encode())
