"""The writing of one sample: its shards, then its record. Any worker may repeat it any number of times."""

from __future__ import annotations

from dataclasses import replace

from corrstore.datasets.pairing.sample_plan import SamplePlan
from corrstore.datasets.samples.checksums import refuse_changed_files
from corrstore.datasets.samples.sample import build_sample
from corrstore.datasets.storage.folder import Folder, checksum
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.records import SampleRecord, ShardRow


def write_sample(folder: Folder, plan: StorePlan, sample_plan: SamplePlan) -> SampleRecord:
    """Build the sample, write its shards, and return the record, which the caller writes last.

    The bytes depend on the plan and the archives alone: repeated work replaces itself. Raises BadInput where a file
    of the archives was changed since the plan was made, before the read or during it.
    """
    refuse_changed_files(sample_plan.terms)
    sample = build_sample(plan, sample_plan)
    refuse_changed_files(sample_plan.terms)
    shards = []
    for role in plan.roles:
        content = plan.shard_layout(role).encode(sample.stored.pop(role))
        key = plan.shard_key(role, sample_plan.index)
        folder.write(key, content)
        shards.append(ShardRow(role, key, len(content), checksum(content)))
    return replace(sample.record, shards=shards)
