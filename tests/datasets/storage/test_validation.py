"""Wrong recipes and training settings, told by key, expectation and value, in plain words."""

from __future__ import annotations

import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.files import load_recipe
from corrstore.training.run_config import parsed_changes, run_config

INTERNALS = (
    "Input should",
    "pydantic",
    "BoxSpec",
    "function-",
    "valid dictionary",
    "instance of",
    "str_type",
    "For further",
)


def told_of(refuse, *arguments) -> str:
    """Return the message of the refusal of these arguments."""
    with pytest.raises(BadInput) as error:
        refuse(*arguments)
    assert not [each for each in INTERNALS if each in str(error.value)], str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("name=3", "name: expected text, got 3"),
        ("name=no", "name: expected text, got false"),
        ("name=a/b", "name: expected letters, digits, '.', '_' and '-'"),
        ("version=2", "version: expected 1, got 2"),
        ("period=2020", "period: expected keys with values, got 2020"),
        ("period.start=2020-02-30", "period.start: '2020-02-30' is not a UTC time"),
        ("period.start=2020-13-01", "period.start: '2020-13-01' is not a UTC time"),
        ("period.start=2020-01-01T25:00", "period.start: '2020-01-01T25:00' is not a UTC time"),
        ("period.start=2020-01-01T00:00+08:00", "period.start: '2020-01-01T00:00+08:00' is not a UTC time"),
        ("period.start=25:00", "period.start: '25:00' is not a UTC time"),
        ("period.frequency=3 weeks", "period.frequency: '3 weeks' is not a duration"),
        ("splits=[]", "splits: expected keys with values, got a list of 0"),
        ("input.grid=5", "input.grid: expected a box (north, south, west, east, step) or one of"),
        ("input.grid={north: 3, sout: 1}", "input.grid.sout: no such key"),
        ("period.frequncy=3h", "(`corrstore schema` lists the keys); it may be frequency"),
        ("period.every=3h", "; period has start, end, frequency"),
        ("sources.era5.selct={}", "; it may be select"),
        ("input.grid.nort=3", "; it may be north"),
        ("target.floors={tp: 0}", "; it goes at the top, not under target"),
        ("input.grid=nowhere", "input.grid: "),
        ("input.halo=-1", "input.halo: expected 0 or more, got -1"),
        ("input.halo=1.5", "input.halo: expected a whole number, got 1.5"),
        ("input.channels=t2m", "input.channels: expected a list, got 't2m'"),
        ("input.channels=[]", "input.channels: expected at least 1 entries, got 0"),
        ("input.channels=[t2n]", "input.channels: unknown variable 't2n'"),
        ("input.channels=[[t2m]]", "input.channels.0: expected text, got a list of 1"),
        ("floors.tp=dry", "floors.tp: expected a number, got 'dry'"),
        ("sources.era5=3", "sources.era5: expected keys with values, got 3"),
        ("store.dtype=float8", "store.dtype: expected 'float16' or 'float32', got 'float8'"),
        ("max_missing_share=2", "max_missing_share: expected 1 or less, got 2"),
        ("window=null word", "window: 'null word' is not a duration"),
    ],
)
def test_a_wrong_recipe(change, says):
    assert says in told_of(load_recipe, "demo", [change])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("batch=0", "batch: expected 1 or more, got 0"),
        ("batch=many", "batch: expected a whole number, got 'many'"),
        ("patch=64", "patch: expected a list, got 64"),
        ("patch=[64]", "patch.1: is missing"),
        ("patch=[64, 4]", "patch.1: expected 8 or more, got 4"),
        ("dropout=1", "dropout: expected less than 1, got 1"),
        ("learning_rate=[1]", "learning_rate: expected a number, got a list of 1"),
        ("learning_rate=.nan", "learning_rate: expected "),
        ("compile=maybe", "compile: expected true or false, got 'maybe'"),
        ("precision=float8", "precision: expected 'float32' or 'bfloat16', got 'float8'"),
        ("channel_weights=3", "channel_weights: expected keys with values, got 3"),
        ("channel_weights={t2m: much}", "channel_weights.t2m: expected a number, got 'much'"),
        ("period=2020-02-30", "period: "),
        ("size=huge", "unknown network size 'huge'"),
        ("batches=3", "batches: no such key; remove it or correct its spelling (there are stage"),
        ("seed=[1", "--set 'seed=[1', line 1: "),
    ],
)
def test_wrong_training_settings(change, says):
    assert says in told_of(lambda: run_config("regression", "small", parsed_changes([change])))
