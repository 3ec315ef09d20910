"""Writing one sample: its shards, then its record. Any worker may do it, any number of times."""

from __future__ import annotations

from dataclasses import replace

from datasets.layout import ROLES, StorePlan
from datasets.pairing import SamplePlan
from datasets.records import Record, ShardRow
from datasets.sample import build_sample
from datasets.storage import Folder, checksum


def write_sample(folder: Folder, plan: StorePlan, sample_plan: SamplePlan) -> Record:
    """Build the sample and write its shards; returns the record, which the caller writes last.

    The bytes depend on the plan and the archives alone: repeated work replaces itself.
    """
    sample = build_sample(plan, sample_plan)
    shards = []
    for role in ROLES:
        content = plan.shard_layout(role).encode(sample.stored.pop(role))
        key = plan.shard_key(role, sample_plan.index)
        folder.write(key, content)
        shards.append(ShardRow(role, key, len(content), checksum(content)))
    return replace(sample.record, shards=shards)
