"""`plan` says beforehand what a build turns out to do."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.plan import plan
from datasets.channels import channel_named
from datasets.constants import storage_error, stored_normalisation, transformed_range
from datasets.ledger import SHARDS
from datasets.recipe import recipe_from
from datasets.recipe_files import load_recipe
from tests.conftest import small_recipe_content

DEMO = load_recipe("demo")


def test_a_plan_foresees_the_build(recipe, demo_store):
    made = plan(recipe)
    assert made.samples == len(demo_store.times) and made.missing_share == 0
    written = sum(demo_store.table(SHARDS)["bytes"].to_pylist())
    assert abs(made.bytes / written - 1) < 0.15
    assert 50e6 < made.cost.peak_bytes < 1.5e9
    assert made.measured_samples == int(recipe.splits.train.interval.mask(recipe.times).sum())


def test_a_plan_names_what_is_missing(faulty):
    root, _ = faulty
    made = plan(recipe_from(small_recipe_content(root)))
    assert made.preparation.missing and made.preparation.problems
    assert all("holds no" in reason for reasons in made.preparation.missing.values() for reason in reasons)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from([*DEMO.target.channels, "q_850", "z_500"]),
    dtype=st.sampled_from(["float16", "float32"]),
    where=st.floats(0, 1),
    spread=st.floats(0.01, 0.5),
    share=st.floats(0, 1),
)
def test_the_error_that_a_plan_states_holds_whatever_the_constants(name, dtype, where, spread, share):
    """A physical number, stored with any mean in the range and any plausible deviation, comes back within the error."""
    recipe = load_recipe("demo", [f"store.dtype={dtype}"])
    channel = channel_named(name)
    low, high = transformed_range(recipe, channel)
    normalisation = stored_normalisation(
        recipe.transform_name(channel), low + where * (high - low), spread * (high - low)
    )
    physical = normalisation.transform.inverse(np.array([low + share * (high - low)])).astype(np.float32)
    back = normalisation.decode(normalisation.encode(physical, dtype))
    assert abs(back[0] - physical[0]) <= storage_error(recipe, channel)
