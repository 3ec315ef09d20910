"""Scales, pictures, histograms and the wording of numbers, without a store."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH, Counted, channel_histogram, residual_histogram
from corrstore.catalog.drawing.palette import field_scale, residual_scale
from corrstore.catalog.drawing.pictures import Frame, block_mean, colour_bar
from corrstore.catalog.printing import wording
from corrstore.datasets.grids.grid import preset
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.statistics.counting import block_statistics
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.variables.table import VARIABLES

NAMES = sorted(VARIABLES)


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize("name", NAMES)
def test_scales_are_monotonic_and_hold_their_ticks(name):
    variable = VARIABLES.named(name)
    low, high = variable.valid_range
    for scale in (
        field_scale(variable, low, high),
        residual_scale(variable, high - low),
        field_scale(variable, 0.0, 0.0),
    ):
        assert (np.diff(scale.edges) > 0).all()
        assert len(scale.colours) == scale.edges.size + 1
        assert all(scale.edges[0] <= tick <= scale.edges[-1] for tick in scale.ticks)
        positions = [scale.position(tick) for tick in scale.ticks]
        assert positions == sorted(positions)


def test_rain_and_no_echo_are_white_and_a_residual_of_zero_is_pale():
    for name in ("tp", "refc"):
        scale = field_scale(VARIABLES.named(name), 0.0, 60.0)
        assert (scale.colours[scale.codes(np.zeros((1, 1)))[0, 0]] == 255).all()
    scale = residual_scale(VARIABLES.named("t2m"), 5.0)
    assert (scale.colours[scale.codes(np.zeros((1, 1)))[0, 0]] > 235).all()


def test_reflectivity_has_the_colours_of_its_steps():
    scale = field_scale(VARIABLES.named("refc"), 0.0, 74.0)
    expected = {7.0: "04e9e7", 22.0: "02fd02", 37.0: "fdf802", 52.0: "fd0000", 67.0: "f800fd"}
    for value, colour in expected.items():
        assert scale.colours[scale.codes(np.array([[value]]))[0, 0]].tobytes().hex() == colour


def test_a_diverging_scale_is_symmetric():
    for scale in (field_scale(VARIABLES.named("u10m"), -3.0, 9.0), residual_scale(VARIABLES.named("t2m"), 9.0)):
        np.testing.assert_allclose(scale.edges, -scale.edges[::-1], atol=1e-12)
        assert scale.edges[-1] == 9.0


def test_missing_numbers_are_transparent():
    grid = RectilinearGrid.from_box(40.0, 39.0, 100.0, 101.0, 0.5)
    field = np.array([[1.0, 2.0, 3.0], [np.nan, 5.0, 6.0], [7.0, 8.0, 9.0]])
    picture = Frame.around(grid).picture(field, grid, field_scale(VARIABLES.named("sp"), 1.0, 9.0), 10_000)
    alpha = np.array(decoded(picture.uri).convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(alpha == 0, np.isnan(field))


def test_a_grid_from_south_to_north_is_drawn_north_up():
    north_first = RectilinearGrid.from_box(40.0, 39.0, 100.0, 101.0, 0.5)
    south_first = RectilinearGrid(north_first.lat[::-1].copy(), north_first.lon)
    field, scale = np.arange(9.0).reshape(3, 3), field_scale(VARIABLES.named("sp"), 0.0, 8.0)
    frame = Frame.around(north_first)
    assert frame == Frame.around(south_first)
    assert frame.picture(field, north_first, scale, 10_000) == frame.picture(field[::-1], south_first, scale, 10_000)


def test_noise_of_a_full_domain_stays_within_its_bytes():
    grid = preset("china_3km")
    field = np.random.default_rng(0).normal(280.0, 10.0, grid.shape)
    picture = Frame.around(grid).picture(field, grid, field_scale(VARIABLES.named("t2m"), 260.0, 300.0), 30_000)
    png = base64.b64decode(picture.uri.partition(",")[2])
    assert 15_000 < len(png) <= 30_000
    assert (picture.left, picture.top) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert (picture.width, picture.height) == pytest.approx((100.0, 100.0))


def test_a_degree_of_longitude_is_as_wide_as_at_the_middle():
    frame = Frame.around(RectilinearGrid.from_box(70.0, 50.0, 10.0, 30.0, 0.25))
    assert frame.aspect == pytest.approx(0.5)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_block_means_are_the_means_of_the_blocks(rows, columns, seed, missing):
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(17, 23))
    field[rng.random(field.shape) < missing] = np.nan
    means = block_mean(field, (rows, columns))
    row_of, column_of = (
        np.searchsorted(np.linspace(0, full, few, endpoint=False).astype(int), np.arange(full), "right") - 1
        for full, few in ((17, rows), (23, columns))
    )
    for row in range(rows):
        for column in range(columns):
            block = field[np.ix_(row_of == row, column_of == column)]
            finite = block[~np.isnan(block)]
            expected = finite.mean() if finite.size else np.nan
            np.testing.assert_allclose(means[row, column], expected, atol=1e-12)


def test_a_bar_says_where_numbers_lie_beyond_it():
    scale = field_scale(VARIABLES.named("t2m"), 270.0, 290.0)
    inside, outside = colour_bar(scale, 270.0, 290.0, 34), colour_bar(scale, 269.0, 291.0, 34)
    assert (inside.below, inside.above) == (None, None)
    assert re.fullmatch("#[0-9a-f]{6}", outside.below or "") and re.fullmatch("#[0-9a-f]{6}", outside.above or "")


def corners(path):
    """The staircase of a path as x [n + 1] and y [n]."""
    x = [float(path.partition(" ")[0][1:])]
    y = []
    for letter, value in re.findall(r"([VH])(\d+)", path):
        (x if letter == "H" else y).append(float(value))
    assert path.endswith("Z") and y.pop() == HEIGHT
    return np.array(x), np.array(y)


def counted(values, edges):
    return Counted(block_statistics(values.astype(np.float32), edges), edges)


def test_a_histogram_is_that_of_numpy():
    variable = VARIABLES.named("t2m")
    values = np.random.default_rng(1).normal(280, 6, (300, 400)).astype(np.float32)
    edges = physical_edges(variable)
    drawn = channel_histogram(variable, {"target": counted(values, edges)})
    assert drawn is not None and not drawn.y_ticks
    (curve,) = drawn.curves
    x, y = corners(curve.path)
    low, high = np.quantile(values, [5e-4, 1 - 5e-4])
    centre = edges[:-1] + np.diff(edges) / 2
    inside = (centre > low + 1) & (centre < high - 1)
    heights = HEIGHT - y
    at = (centre[inside] - low) / (high - low) * WIDTH
    found = heights[np.searchsorted(x, at) - 1]
    expected = np.histogram(values, edges)[0][inside]
    np.testing.assert_allclose(found / found.max(), expected / expected.max(), atol=0.02)
    assert curve.mean == pytest.approx(100 * (values.mean() - low) / (high - low), abs=0.5)
    assert curve.high - curve.mean == pytest.approx(100 * values.std() / (high - low), abs=0.5)


def test_rain_has_logarithmic_axes_and_says_how_much_is_dry():
    variable = VARIABLES.named("tp")
    values = np.maximum(np.random.default_rng(2).gamma(0.3, 4.0, (200, 200)) - 0.5, 0)
    drawn = channel_histogram(variable, {"target": counted(values, physical_edges(variable))})
    assert drawn is not None
    ticks = {tick.text: tick.at for tick in drawn.x_ticks}
    assert ticks["0.1"] == 0.0
    assert ticks["10"] - ticks["1"] == pytest.approx(ticks["1"] - ticks["0.1"])
    assert any(tick.text.startswith("10") for tick in drawn.y_ticks)
    assert f"{100 * (values.astype(np.float32) < 0.1).mean():.1f}" in drawn.notes[0]


def test_a_channel_that_never_changes_says_so():
    tp, zeros = VARIABLES.named("tp"), np.zeros((5, 5))
    for drawn in (
        channel_histogram(tp, {"target": counted(zeros, physical_edges(tp))}),
        residual_histogram(tp, counted(zeros, residual_edges(tp))),
    ):
        assert drawn is not None
        assert drawn.curves[0].path == ""
        assert "is 0" in drawn.notes[0]


def test_nothing_is_drawn_of_nothing():
    variable = VARIABLES.named("t2m")
    nothing = np.full((4, 4), np.nan)
    assert channel_histogram(variable, {"target": counted(nothing, physical_edges(variable))}) is None
    assert residual_histogram(variable, counted(nothing, residual_edges(variable))) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (281.2541, "281.3"),
        (101325.0, "101\u202f300"),
        (-16.1778, "−16.18"),
        (0.00071, "0.0007100"),
        (-2.5183e-6, "−2.518×10⁻⁶"),
        (9.99951, "10.00"),
        (0.0, "0"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert wording.number(value) == text


def test_the_wording_of_units_sizes_shares_and_places():
    assert [wording.gained(each) for each in (0.123, -0.031, -0.001, 0.0)] == ["+12", "−3", "0", "0"]
    assert wording.gained(-0.0312, 1) == "−3.1"
    assert wording.units("kg m-2") == "kg m⁻²"
    assert wording.units("m2 s-2") == "m² s⁻²"
    assert wording.units("1") == ""
    assert wording.size(999) == "999\u202fB"
    assert wording.size(40_200_000) == "40.2\u202fMB"
    assert wording.share(0.9812) == "98.1\u202f%"
    assert wording.share(-0.05) == "−5.0\u202f%"
    assert wording.number_beside(285.348, 10.88) == "285.3"
    assert wording.power_of_ten(1e-3) == "10⁻³"
    assert [wording.longitude(degrees) for degrees in (104.5, -116.25, 243.75, 0.0, 180.0)] == [
        "104.5°E",
        "116.25°W",
        "116.25°W",
        "0°",
        "180°",
    ]
    assert [wording.latitude(degrees) for degrees in (32.71, -5.0, 0.0)] == ["32.71°N", "5°S", "0°"]
    assert wording.duration(np.timedelta64(41, "h")) == "41 hours"
    assert wording.duration(np.timedelta64(240, "h")) == "10 days"
    assert wording.time(np.datetime64("2020-06-01T03:00:00")) == "2020-06-01 03:00 UTC"
