"""A floor is the same number in fields and statistics, and in the check of what an older version built."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corrstore.datasets.samples.checking import check_sample
from corrstore.datasets.statistics.counting import stored_statistics
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.statistics.table import merged_by_channel, statistics_table
from corrstore.datasets.store.records import read_records


def test_dry_is_exactly_zero_in_both_roles_and_in_the_statistics(demo_store):
    recorded = {record.valid_time: merged_by_channel(record.statistics) for record in read_records(demo_store.folder)}
    dry = 0
    for role in demo_store.roles:
        place = demo_store.recipe.channel_names(role).index("tp")
        fields = demo_store.dataset(role, ["tp"]).tp
        for index in np.flatnonzero(demo_store.valid):
            stored, rain = demo_store.stored(role, index)[place], demo_store.physical(role, index)[place]
            lowest = stored == stored.min()
            assert recorded[demo_store.times[index]][role, "tp"].minimum == rain.min()
            if rain.min() < 0.001:
                assert (rain[lowest] == 0).all() and (fields[index].values[lowest] == 0).all()
                assert (rain[~lowest] > 0).all()
                dry += np.count_nonzero(lowest)
    assert dry > 1000


def test_statistics_that_an_older_version_recorded_are_right_too(demo_store):
    plan, record = demo_store.plan, next(read_records(demo_store.folder))
    blocks = merged_by_channel(record.statistics)
    place = plan.recipe.channel_names("target").index("tp")
    older, edges = (
        plan.normalisations["target"][place].keeping("float16"),
        physical_edges(plan.channels("target")[place].variable),
    )
    plain = stored_statistics(demo_store.stored("target", record.index)[place], older, edges)
    for found, faults in (
        (plain, []),
        (replace(plain, mean=plain.mean * 1.001), ["target tp has other statistics than its record"]),
    ):
        table = statistics_table(record.valid_time, blocks | {("target", "tp"): found})
        assert check_sample(demo_store.folder, plan, replace(record, statistics=table), None).reasons == faults
    assert plain.minimum != blocks["target", "tp"].minimum
