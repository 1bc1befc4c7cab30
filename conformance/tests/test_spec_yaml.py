"""YAML that says what JSON cannot, or says it twice, is refused with the place."""

from __future__ import annotations

import pytest

from lossproof.spec import SpecError
from lossproof.spec.yaml import parse_document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-5", 1e-5),
        ("1.5", 1.5),
        ("-0.0", -0.0),
        ("2", 2),
        ("no", "no"),
        ("yes", "yes"),
        ("010", "010"),
        ("0x10", "0x10"),
        (".5", ".5"),
        (".nan", ".nan"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"),
        ("~", "~"),
        ('"1"', "1"),
        ("null", None),
        ("true", True),
        ("True", "True"),
    ],
)
def test_scalars_follow_the_rules_of_json(text: str, expected: object) -> None:
    data = parse_document(f"key: {text}\n", "x.yaml").data

    assert data == {"key": expected}
    assert isinstance(data, dict)
    assert type(data["key"]) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "x.yaml:2 $.a: expected a key only once, got it again (first on line 1)"),
        ("a:\n  - &x 1\n", "x.yaml:2 $.a[0]: expected a value without an anchor, got &x"),
        ("a: *x\n", "x.yaml:1 $.a: expected a value written out, got the alias *x"),
        ("a: !!str 5\n", "x.yaml:1 $.a: expected a value without a tag, got tag:yaml.org,2002:str"),
        (
            "a: !python/object:os.system {}\n",
            "x.yaml:1 $.a: expected a value without a tag, got !python/object:os.system",
        ),
        ("a: 1\n<<: {b: 2}\n", "x.yaml:2 $: expected keys that are plain strings, got the merge key <<"),
        ("a: {}\n? [b]\n: c\n", "x.yaml:2 $: expected keys that are plain strings, got something else"),
        ("a:\n  b:\n", "x.yaml:2 $.a.b: expected a value, got nothing"),
        ("", "x.yaml:1 $: expected a document, got an empty file"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2 $: expected one document in a file, got a second one"),
        ("a: 1e999\n", 'x.yaml:1 $.a: expected a number that binary64 holds, or "inf", got 1e999'),
        ("a: 9223372036854775808\n", 'x.yaml:1 $.a: expected an integer of 64 bits, got "9223372036854775808"'),
        (
            "a:\n  'b c': [1, 1e999]\n",
            'x.yaml:2 $.a["b c"][1]: expected a number that binary64 holds, or "inf", got 1e999',
        ),
        ("a: [1\n", "x.yaml:2 $: expected YAML, got did not find expected ',' or ']'"),
    ],
)
def test_what_json_cannot_say_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_document(text, "x.yaml")

    assert message == str(error.value)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(SpecError, match="expected at most 32 levels, got a deeper one"):
        parse_document("[" * 5000 + "]" * 5000, "x.yaml")


def test_an_integer_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(SpecError, match="expected an integer of 64 bits"):
        parse_document("9" * 10_000, "x.yaml")


def test_a_control_character_is_refused() -> None:
    with pytest.raises(SpecError, match="expected YAML, got unacceptable character"):
        parse_document("a: \x00", "x.yaml")


def test_every_value_keeps_its_line() -> None:
    document = parse_document("a: 1\nb:\n  - 2\n  -\n    c: 3\n", "x.yaml")

    assert document.lines == {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 5, ("b", 1, "c"): 5}
