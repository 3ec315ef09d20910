"""An open store answers questions about itself, and corrects a wrong role or channel."""

from __future__ import annotations

import pytest

from corrstore.datasets.errors import BadInput


def test_the_repr_describes_the_store_in_a_few_lines(faulty_store):
    lines = repr(faulty_store).splitlines()
    facts = {line[:18].strip(): line[18:] for line in lines[1:]}
    recipe, valid = faulty_store.recipe, int(faulty_store.valid.sum())
    assert lines[0] == f"Training store: {recipe.title or recipe.name}"
    assert facts["path"] == faulty_store.folder.path()
    assert str(recipe.period.interval) in facts["period"]
    assert valid < len(faulty_store.times)
    assert facts["samples"] == f"{len(faulty_store.times)}, {valid} of them valid"
    for role in ("input", "target"):
        names = [channel.name for channel in faulty_store.plan.channels(role)]
        assert facts[f"{role} grid"] == str(faulty_store.grid(role))
        assert facts[f"{role} channels"].startswith(f"{len(names)}: {names[0]}")
    assert facts["dtype"] == "float16" and facts["fingerprint"] == faulty_store.fingerprint
    assert len(lines) <= 14


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.physical("targets", 0),
        lambda store: store.stored("targets", 0),
        lambda store: store.dataset("targets"),
        lambda store: store.grid("targets"),
    ],
    ids=["physical", "stored", "dataset", "grid"],
)
def test_a_wrong_role_is_answered_with_the_roles(demo_store, read):
    with pytest.raises(BadInput, match="role: got 'targets', expected one of input, target"):
        read(demo_store)


def test_a_wrong_channel_is_answered_with_the_channels_nearest_first(demo_store):
    names = [channel.name for channel in demo_store.plan.channels("target")]
    with pytest.raises(BadInput, match="channel: got 't2mm', expected a target channel of the store: t2m, ") as error:
        demo_store.dataset("target", ["t2mm"])
    assert sorted(str(error.value).rpartition(": ")[2].split(", ")) == sorted(names)


def test_a_dataset_holds_the_channels_that_were_asked_for(demo_store):
    part = demo_store.dataset("target", ["u10m", "t2m"])
    assert list(part) == ["u10m", "t2m"]
    assert part.t2m.isel(time=0).equals(demo_store.dataset("target").t2m.isel(time=0))
