import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.kinds.durations import DURATION_SCHEMA, format_duration, parse_duration
from nexus.kinds.reading import InvalidValue
from nexus.kinds.sizes import LARGEST, SMALLEST, format_memory, parse_memory


@given(st.integers(1, 10**8))
def test_a_duration_survives_its_text(seconds: int):
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(SMALLEST // 2, LARGEST // 2).map(lambda half: 2 * half))
def test_a_size_survives_its_text(mebibytes: int):
    assert parse_memory(format_memory(mebibytes)) == mebibytes


@given(st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none())
def test_anything_else_is_refused_and_nothing_else_raised(value: str | int | float | bool | None):
    for parse in (parse_duration, parse_memory):
        with contextlib.suppress(InvalidValue):
            assert parse(value) > 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90), ("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800), (60.0, 60)],
)
def test_durations_are_seconds(written: str | float, seconds: int):
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", [0, -1, "", "m", "0s", "30m1h", "1h1h", "1.5s", "5 minutes", True, [1], None, "-5m"]
)
def test_what_is_no_duration_is_refused(written: object):
    with pytest.raises(InvalidValue):
        parse_duration(written)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "mebibytes"),
    [(512, 512), ("512", 512), ("512MiB", 512), ("1GiB", 1024), ("1g", 1024), ("2GB", 2048), ("1.5 GiB", 1536)],
)
def test_sizes_are_mebibytes(written: str | int, mebibytes: int):
    assert parse_memory(written) == mebibytes


@pytest.mark.parametrize("written", [0, 127, 129, "64MiB", "1kB", "1PiB", "lots", True, None, 10**9])
def test_what_is_no_size_is_refused(written: object):
    with pytest.raises(InvalidValue):
        parse_memory(written)  # type: ignore[arg-type]


def test_the_schema_of_durations_names_examples_that_parse():
    for example in DURATION_SCHEMA["examples"]:  # type: ignore[union-attr]
        assert parse_duration(example) > 0
