"""Small archives on other grids than latitudes by longitudes, or on one grid in several encodings, and their fields."""

from __future__ import annotations

import numpy as np
import pytest
from yaml import safe_load

from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.samples.sample import physical_fields
from tests.paths import CASES, needs_cases

pytestmark = needs_cases


def fields_of(case: str, **changes):
    """Each sample's target fields by name, and the target grid."""
    (folder,) = CASES.glob(f"{case}-*")
    content = safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    content["sources"]["a"]["path"] = str(folder / changes.pop("path", "archive"))
    content["sources"]["a"] |= changes
    recipe = recipe_from(content)
    plans = [plan for plan in sample_plans(prepare(recipe).pairs) if plan.index >= 0]
    found = [{each.channel.name: each.values for each in physical_fields(recipe, plan)} for plan in plans]
    return found, recipe.target_grid


def plane(grid):
    lat, lon = grid.latlon()
    return 280 + 0.5 * (lat - 48) + 0.25 * (lon - 12)


@pytest.mark.parametrize("path", ["quarter", "n639"])
def test_one_grid_in_three_formats(path):
    found, grid = fields_of("03", path=path)
    assert len(found) == 3
    for fields in found:
        np.testing.assert_allclose(fields["t2m"], plane(grid), atol=2e-3)


def test_two_dimensional_coordinates():
    (fields,), grid = fields_of("10")
    np.testing.assert_allclose(fields["t2m"], plane(grid), atol=2e-3)


def test_winds_around_a_rotated_pole_as_the_message_says():
    found, grid = fields_of("11")
    for fields, (eastward, northward) in zip(found, [(10, 0), (0, 10)] * 2, strict=True):
        np.testing.assert_allclose(fields["u10m"], np.full(grid.shape, eastward), atol=1e-4)
        np.testing.assert_allclose(fields["v10m"], np.full(grid.shape, northward), atol=1e-4)
        np.testing.assert_allclose(fields["t2m"], plane(grid), atol=1e-3)


def test_two_areas_in_one_file_are_told_by_their_corners_and_either_is_chosen():
    with pytest.raises(BadInput, match=r"(?s)lon 70 \.\. 74.*lon 10 \.\. 14.*select: \{grid_hash: ") as refusal:
        fields_of("13")
    (wanted,) = (line.split()[1] for line in str(refusal.value).splitlines() if "lon 10 .. 14" in line)
    found, grid = fields_of("13", select={"grid_hash": wanted})
    np.testing.assert_allclose(found[0]["t2m"], plane(grid), atol=1e-2)
