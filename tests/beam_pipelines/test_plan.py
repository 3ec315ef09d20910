"""`plan` says beforehand what a build turns out to do."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corrstore.beam_pipelines.plan import plan
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.store.constants import storage_error, transformed_range
from corrstore.datasets.store.layout import stored_normalisation
from corrstore.datasets.store.ledger import SHARDS
from corrstore.datasets.variables.channels import channel_named
from tests.conftest import small_recipe_content

DEMO = {dtype: load_recipe("demo", [f"store.dtype={dtype}"]) for dtype in ("float16", "float32")}


def test_a_plan_foresees_the_build(recipe, demo_store):
    made = plan(recipe)
    assert made.samples == len(demo_store.times) and made.missing_share == 0
    assert made.statuses == {"valid": made.samples, "partial": 0, "missing": 0}
    written = sum(demo_store.table(SHARDS)["bytes"].to_pylist())
    assert abs(made.bytes / written - 1) < 0.15
    assert 50e6 < made.cost.peak_bytes < 1.5e9
    assert made.measured_samples == int(recipe.splits.train.interval.mask(recipe.times).sum())


def test_what_files_lack_is_named_before_anything_is_read(faulty):
    """The plan does not see missing pixels of a field; the build does."""
    root, damaged = faulty
    recipe = recipe_from(small_recipe_content(root))
    prepared = prepare(recipe)
    (corrupt, truncated, gone) = (
        next(fault for fault in damaged.faults if fault.kind == kind)
        for kind in ("corrupt_message", "truncated", "missing_hour")
    )
    window_end = np.datetime64(gone.valid_time.removesuffix("Z")) + np.timedelta64(1, "h")
    assert {format_time(recipe.times[index]): reasons for index, reasons in prepared.missing.items()} == {
        corrupt.valid_time: [f"cma_rra holds no t2m at {corrupt.valid_time}"],
        truncated.valid_time: [f"cma_rra holds no z_500 at {truncated.valid_time}"],
        f"{window_end}Z": [f"era5 holds no tp over 3h at {window_end}Z"],
    }
    problems = sorted((problem.kind, problem.path) for problem in prepared.problems)
    assert problems == [("corrupt", str(root / corrupt.file)), ("truncated", str(root / truncated.file))]


@settings(max_examples=100)
@given(
    name=st.sampled_from([*DEMO["float16"].target.channels, "q_850", "z_500"]),
    dtype=st.sampled_from(sorted(DEMO)),
    where=st.floats(0, 1),
    spread=st.floats(0.01, 0.5),
    share=st.floats(0, 1),
)
def test_the_error_that_a_plan_states_holds_whatever_the_constants(name, dtype, where, spread, share):
    """A physical number, stored with any mean in the range and any plausible deviation, comes back within the error."""
    recipe = DEMO[dtype]
    channel = channel_named(name)
    low, high = transformed_range(recipe, channel)
    normalisation = stored_normalisation(
        recipe.transform_name(channel), low + where * (high - low), spread * (high - low)
    )
    physical = normalisation.transform.inverse(np.array([low + share * (high - low)])).astype(np.float32)
    back = normalisation.decode(normalisation.encode(physical, dtype))
    assert abs(back[0] - physical[0]) <= storage_error(recipe, channel)
