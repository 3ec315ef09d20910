"""A user's YAML: what is read as what, and every mistake told in one line with file, line and key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.yaml_text import parsed_mapping, parsed_value, read_text

DEEP = "a: " + "[" * 5000 + "]" * 5000
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n" for before, key in zip("abcdefg", "bcdefgh", strict=True)
)


def told(text: str) -> str:
    """Return the message, of one line, of the refusal of a text."""
    with pytest.raises(BadInput) as error:
        parsed_mapping(text, "mine.yaml")
    assert "\n" not in str(error.value) and str(error.value).startswith("mine.yaml, line ")
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: holds nothing"),
        ("# only a comment", "line 1: holds nothing"),
        ("- a\n- b", "line 1: holds a list"),
        ("just words", "line 1: holds the value 'just words'"),
        ("a: 1\nb: {c: 1,\n  c: 2}", "line 3, b.c: the key is there twice, first in line 2"),
        ("a: 1\na: 2", "line 2, a: the key is there twice, first in line 1"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", "line 2, b: the tag !!python/object/apply:os.system"),
        ("a: !mine 3", "line 1, a: the tag !mine is not allowed"),
        ("a: !!timestamp 2020-02-30", "line 1, a: the tag !!timestamp is not allowed"),
        ("a: !!int word", "line 1, a: 'word' cannot be read"),
        ('a: !!int ""', "line 1, a: '' cannot be read"),
        ("? [1, 2]\n: 3", "line 1: a key must be one word"),
        ("? {b: 2}\n: 3", "line 1: a key must be one word"),
        ("a:\n\tb: 1", "line 2: "),
        ("a: 1\nb: [1, 2", "line 2: "),
        ("a: *nothing", "line 1: not YAML: found undefined alias"),
        ("a: &a [*a]", "line 1, a.0.0: nested deeper"),
        ("a: 1\n<<: 3", "line 2: "),
        ("a: 1\n---\nb: 2", "line 2: "),
        ("a: 1\nb: \x00", "line 2: the character '\\x00' is not allowed"),
        ('a: "\\ud800"', "line 1, a: "),
        ('a: "\\UFFFFFFFF"', "line 1: "),
        ("a: " + "9" * 5000, "line 1, a: "),
        ("%YAML 9.9\n---\na: 1", "line 1: "),
        (DEEP, "nested deeper"),
        (BOMB, "more than 100000 values"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(text, says):
    assert says in told(text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2020-02-30", "2020-02-30"),
        ("2020-13-01", "2020-13-01"),
        ("2020-01-01T03:00:00+08:00", "2020-01-01T03:00:00+08:00"),
        ("25:00", "25:00"),
        ("1:30", "1:30"),
        ("3h", "3h"),
        ("12", 12),
        ("1.5", 1.5),
        ("null", None),
        ("", None),
        ("true", True),
        ("[1, two]", [1, "two"]),
        ("{500: z, no: 1}", {"500": "z", "no": 1}),
    ],
)
def test_dates_and_times_of_day_stay_text(written, read):
    value = parsed_value(written, "--set")
    assert value == read and type(value) is type(read)


def test_aliases_and_merged_keys_are_repeated():
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}"
    assert parsed_mapping(text, "mine.yaml") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        parsed_value(text, "mine.yaml")
    except BadInput as error:
        assert str(error).startswith("mine.yaml, line ")


@pytest.mark.parametrize(
    ("content", "line"), [("a: 1\nb: Zürich".encode("latin-1"), 2), ("a: 1".encode("utf-16"), 1), (b"\x80", 1)]
)
def test_a_file_that_is_not_utf_8(tmp_path, content, line):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=f"mine.yaml, line {line}: .*is not UTF-8"):
        read_text(file)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert parsed_mapping(read_text(file), "mine.yaml") == {"a": 1}
