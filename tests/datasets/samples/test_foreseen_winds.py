"""What a build will miss for want of the other component of a wind is known before anything is read."""

from __future__ import annotations

import pytest
from yaml import safe_load

from corrstore.datasets.archives.grib.handle import eccodes
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.sample import physical_fields
from tests.grib_made import changed, eccodes_handles
from tests.paths import CASES, needs_cases
from tests.small_archives import prepared

pytestmark = needs_cases

COARSE = {"north": 48.5, "south": 47.5, "west": 10.5, "east": 12.5, "step": 1.0}
FINE = {"north": 48.25, "south": 47.75, "west": 11, "east": 12, "step": 0.25}


def content_of(archive):
    """The case's recipe over an archive on a Lambert grid, where v10m lacks at one of three times."""
    content = safe_load((CASES / "16-missing-partner-wind" / "recipe.yaml").read_text(encoding="utf-8"))
    content["sources"] = {name: {"type": "cma_rra", "path": str(archive)} for name in ("a", "b")}
    content["sources"]["coarse"] = {"type": "coarsened", "of": "b"}
    return content


@pytest.mark.parametrize(
    ("source", "channels", "of_input"),
    [
        ("a", ["u10m"], ["t2m"]),
        ("b", ["v10m"], ["t2m"]),
        ("b", ["t2m"], ["t2m", "u10m"]),
        ("coarse", ["t2m"], ["u10m"]),
    ],
)
def test_the_plan_lacks_what_the_build_lacks(source, channels, of_input):
    content = content_of(CASES / "16-missing-partner-wind" / "archive")
    content["target"]["channels"], content["input"]["channels"] = channels, of_input
    content["input"]["source"] = source
    if source == "coarse":
        content["input"]["grid"], content["target"]["grid"] = COARSE, FINE
    recipe, preparation = prepared(recipe_from(content))
    lacking = {
        plan.index: {field.role for field in physical_fields(recipe, plan) if field.missing}
        for plan in sample_plans(preparation.pairs)
    }
    assert {index for index, roles in lacking.items() if roles} == set(preparation.missing) == {1}
    alone = {role for role in lacking[1] if len(content[role]["channels"]) == 1}
    assert preparation.absent == ({1} if alone else set())


def test_a_wind_that_needs_no_partner_at_that_time_lacks_nothing(tmp_path):
    (file,) = (CASES / "16-missing-partner-wind" / "archive").iterdir()
    messages = []
    for handle in eccodes_handles(file):
        message = eccodes.codes_get_message(handle)
        alone = eccodes.codes_get(handle, "dataTime") == 100
        messages.append(changed(message, uvRelativeToGrid=0) if alone else message)
    (tmp_path / file.name).write_bytes(b"".join(messages))
    content = content_of(tmp_path)
    content["target"]["channels"] = content["input"]["channels"] = ["t2m", "u10m"]
    recipe, preparation = prepared(recipe_from(content))
    assert preparation.missing == {}
    assert not any(field.missing for plan in sample_plans(preparation.pairs) for field in physical_fields(recipe, plan))
