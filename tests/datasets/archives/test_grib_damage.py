"""Damaged files of GRIB: every damage is named, and no other message is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.archives.grib.index import index_file
from corrstore.datasets.errors import BadInput
from tests.grib_made import TEMPERATURE, changed, in_one_message, index_bytes, made


def test_a_truncated_tail_is_named_with_what_is_missing_and_the_rest_is_kept():
    content = (3 * TEMPERATURE)[:-100]
    index = index_bytes(content)
    assert index.messages["offset"].to_pylist() == [0, len(TEMPERATURE)]
    (problem,) = index.problems
    assert (problem.path, problem.offset, problem.kind) == ("archive.grib", 2 * len(TEMPERATURE), "truncated")
    assert f"states {len(TEMPERATURE)} bytes" in problem.text
    assert " 100 bytes before" in problem.text


def test_a_message_that_lost_bytes_is_named_and_the_next_one_is_found():
    content = TEMPERATURE + TEMPERATURE[:200] + TEMPERATURE[240:] + 2 * TEMPERATURE
    index = index_bytes(content)
    assert index.messages["offset"].to_pylist() == [
        0,
        2 * len(TEMPERATURE) - 40,
        3 * len(TEMPERATURE) - 40,
    ]
    (problem,) = index.problems
    assert (problem.offset, problem.kind) == (len(TEMPERATURE), "no_end_marker")


@pytest.mark.parametrize("section_3", [b"\0\0\0\x49\x03", b"\0\0\0\0\x03", b"\0\0\0\x48\x09", b"\xff\0\0\x48\x03"])
def test_a_message_whose_sections_do_not_add_up_is_corrupt(section_3):
    broken = bytearray(TEMPERATURE)
    assert broken[37:42] == b"\0\0\0\x48\x03"
    broken[37:42] = section_3
    index = index_bytes(bytes(broken) + TEMPERATURE)
    assert index.messages["offset"].to_pylist() == [len(TEMPERATURE)]
    (problem,) = index.problems
    assert (problem.offset, problem.kind) == (0, "corrupt")


@pytest.mark.parametrize(
    "between",
    [
        b"\0" * 119,
        b"****0000008637****\nYHXF02 KWBC 210600\r\r\n",
        b"\r\r\n\x03\x01\r\r\n042 \r\r\nYHXF02 KWBC 210600\r\r\n",
    ],
)
def test_what_may_stand_between_messages_is_no_problem(between):
    index = index_bytes(between + TEMPERATURE + between + TEMPERATURE + b"\r\r\n\x0300000000")
    assert index.problems == []
    assert index.messages["offset"].to_pylist() == [len(between), 2 * len(between) + len(TEMPERATURE)]


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        (b"\0" * 5000, "padding"),
        (b"\0" * 3000000, "padding"),
        (b"no such tape\n", "not_grib"),
        (b"\0" * 5000 + b"GRIB of old", "not_grib"),
    ],
)
def test_other_bytes_between_messages_are_reported(between, kind):
    index = index_bytes(TEMPERATURE + between + TEMPERATURE)
    assert index.messages.num_rows == 2
    (problem,) = index.problems
    assert (problem.kind, problem.offset) == (kind, len(TEMPERATURE))
    assert f"{len(between)} bytes" in problem.text


@pytest.mark.parametrize("count", [*range(250, 260), *range(760, 770)])
def test_the_next_message_is_found_wherever_it_begins(count):
    index = index_bytes(b"\xff" * count + TEMPERATURE)
    assert index.messages["offset"].to_pylist() == [count]


def test_a_file_of_another_size_than_listed_is_a_problem(tmp_path):
    """The file ends with a whole message, and nothing else tells that the rest is not there."""
    path = tmp_path / "rmf.grb2"
    path.write_bytes(2 * TEMPERATURE)
    assert index_file(path, size=2 * len(TEMPERATURE)).problems == []
    (problem,) = index_file(path, size=3 * len(TEMPERATURE)).problems
    assert (problem.kind, problem.offset) == ("truncated", 2 * len(TEMPERATURE))
    (problem,) = index_file(path, size=len(TEMPERATURE)).problems
    assert problem.kind == "corrupt"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"PK\x03\x04\x14\0\0\0data_0.nc", "ZIP"),
        (b"CDF\x02\0\0\0\0", "NetCDF"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
        (b" diamond 4 19051708_024", "MICAPS"),
        (b"\n<!DOCTYPE html><p>404 GRIB not found", "HTML"),
        (b"<html><title>Please log in", "HTML"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "XML"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"BUFR\0\0\0\x04", "BUFR"),
        (b"# A table of GRIB files\n", "not a GRIB file"),
        (b"\0" * 300, "not a GRIB file"),
    ],
)
def test_what_is_not_grib_is_refused_by_name_and_content(tmp_path, content, says):
    path = tmp_path / "era5.grib"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=says) as refusal:
        index_file(path)
    assert str(path) in str(refusal.value)


def test_a_path_that_cannot_be_read_is_bad_input(tmp_path):
    for path in (tmp_path / "missing.grib", tmp_path):
        with pytest.raises(BadInput, match=str(path)):
            index_file(path)


MESSAGES = [
    TEMPERATURE,
    made("regular_ll_pl_grib1", level=500),
    in_one_message([TEMPERATURE, changed(TEMPERATURE, level=500)]),
]


archives = st.lists(st.tuples(st.sampled_from(MESSAGES), st.integers(0, 119)), min_size=1, max_size=6)


def laid_out(archive):
    """The bytes of an archive of padded messages, and (start, end) of each message."""
    content, extents = b"", []
    for message, padding in archive:
        extents.append((len(content), len(content) + len(message)))
        content += message + b"\0" * padding
    return content, extents


@given(archives, st.data())
def test_cut_anywhere_what_was_whole_is_kept_and_the_cut_is_named(archive, data):
    content, extents = laid_out(archive)
    cut = data.draw(st.integers(4, len(content)))
    index = index_bytes(content[:cut])
    assert sorted(set(index.messages["offset"].to_pylist())) == [a for a, b in extents if b <= cut]
    torn = [start for start, end in extents if start + 4 <= cut < end]
    in_its_name = any(start < cut < start + 4 for start, _ in extents)
    kinds = ["truncated"] if torn else ["not_grib"] if in_its_name else []
    assert [problem.kind for problem in index.problems] == kinds
    assert [problem.offset for problem in index.problems if torn] == torn


@given(archives, st.data())
def test_bytes_lost_or_overwritten_never_cost_another_message(archive, data):
    content, extents = laid_out(archive)
    start = data.draw(st.integers(1, len(content) - 1))
    end = data.draw(st.integers(start + 1, min(start + 400, len(content))))
    instead = data.draw(st.binary(max_size=40))
    damaged = content[:start] + instead + content[end:]
    moved = len(damaged) - len(content)
    whole = [a for a, b in extents if b <= start] + [a + moved for a, b in extents if a >= end]
    try:
        found = index_bytes(damaged)
    except BadInput:
        assert whole == []
    else:
        assert set(whole) <= set(found.messages["offset"].to_pylist())
