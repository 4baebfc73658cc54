"""Settings files: YAML 1.2 without what surprises."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxfield.errors import InputError, SettingsError
from voxfield.settings_yaml import dump_yaml, load_yaml, parse_yaml

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12).filter(
    lambda text: not text.startswith("$")
)
TRICKY = st.sampled_from(
    ["no", "1e-3", "0o7", "010", "~", "", "null", ".nan", "0x1", "1_0", "1:30", "=", "<<", "*a", "- b", "y"]
)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | TRICKY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | TRICKY, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(TEXT | TRICKY, VALUES, max_size=4))
def test_a_dump_means_the_same_to_both_versions_of_yaml(values: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(dump_yaml(values) or "{}", encoding="utf-8")
    assert load_yaml(path) == values
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == values  # as Snakemake reads it


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("no", "no"), ("010", 10), ("0o10", 8), ("0x1F", 31), ("1.", 1.0), (".5", 0.5), ("true", True),
        ("'true'", "true"), ("~", None), ("", None), ("1:30", "1:30"), ("2001-01-01", "2001-01-01"), ("1_000", "1_000"),
        ("[1, a]", [1, "a"]), ("{a: {b: 1}}", {"a": {"b": 1}}), ("-0.0", 0.0), ("a b", "a b"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_plain_values(text: str, value: Any) -> None:
    found = parse_yaml(text, source="--set x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' is given twice (duplicate)"),
        ("a: &x 1\nb: *x", "line 2, column 4: alias *x"),
        ("a: !!python/name:os.system", "line 1, column 4: tag tag:yaml.org,2002:python/name:os.system"),
        ("a: !x 1", "tag !x"),
        ("a: .inf", "line 1, column 4: .inf is not finite"),
        ("a: 1e999", "1e999 is beyond the range"),
        ("a: 9007199254740993", "integer 9007199254740993 is out of range"),
        ("a: " + "9" * 6000, "is out of range"),
        ("1: a", "key 1 is no text; put it in quotes"),
        ("a:\n\tb: 1", "line 2, column 1"),
        ("a: [", "expected"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document"),
        ("- 1", "holds a list; expected a mapping"),
        ("a: " + "[" * 99, "nested more than 50 deep"),
        ("a: \x07", "special characters are not allowed"),
        ("a: no", "line 1, column 4: no is the text 'no' in YAML 1.2 and the boolean False in YAML 1.1"),
        ("a: 1e-3", "write 0.001 if"),
        ("a: 1e-12", "write 1.0e-12 if"),
        ("a: 010", "010 is the integer 10 in YAML 1.2 and the integer 8 in YAML 1.1"),
        ("a: 0o17", "write 15 if"),
        ("a: [1, on]", "line 1, column 8: on is the text 'on'"),
        ("a: 1:30", "write '1:30' if"),
        ("a: 2001-01-01", "the text '2001-01-01' in YAML 1.2 and something else (a date"),
        ("a: 2001-02-31", "something else"),
        ("<<: 1", "something else"),
        ("a: {b: [1, '$open(1)']}", "'a.b' is '$open(1)', an expression"),
        ("a: " + "x" * 1_000_000, "has 1,000,003 bytes; expected at most 1,000,000"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_encoding_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: caf\xc3\xa9\r\n")
    assert load_yaml(path) == {"name": "café"}
    path.write_bytes(b"a: 1\nname: caf\xe9\n")
    with pytest.raises(InputError, match="line 2 is not UTF-8"):
        load_yaml(path)


def test_json_is_read_by_its_own_rules(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": {"b": [1, 2.5, null]}}')
    assert load_yaml(path) == {"a": {"b": [1, 2.5, None]}}
    for text, message in (
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "twice"),
        ("{", "is not JSON"),
        ('{"a": "$x"}', "expression"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            load_yaml(path)
