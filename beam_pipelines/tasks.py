"""What workers do, one sample or file at a time."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.errors import BadInput
from datasets.layout import StorePlan
from datasets.ledger import read_sample_plan
from datasets.pairing import SamplePlan
from datasets.recipe import Recipe
from datasets.records import Record
from datasets.sample import measure_sample
from datasets.sources.checksums import FileChecksum, file_checksum
from datasets.storage import Folder
from datasets.writing import write_sample


@dataclass(frozen=True)
class MeasureSample:
    """Pass 1: the statistics of a sample's transformed numbers, from which the constants come."""

    folder: Folder
    recipe: Recipe

    def __call__(self, index: int) -> Record:
        """The record of sample `index`; nothing is written."""
        return measure_sample(self.recipe, planned(self.folder, index))


@dataclass(frozen=True)
class WriteSample:
    """Pass 2: a sample's shards."""

    folder: Folder
    plan: StorePlan

    def __call__(self, index: int) -> Record:
        """Write the shards of sample `index`; returns its record, with the statistics of what is stored."""
        return write_sample(self.folder, self.plan, planned(self.folder, index))


@dataclass(frozen=True)
class ChecksumFile:
    """The checksums of the files that a store is made from."""

    paths: tuple[str, ...]

    def __call__(self, index: int) -> FileChecksum:
        """The checksum of file `index`."""
        return file_checksum(self.paths[index])


def planned(folder: Folder, index: int) -> SamplePlan:
    """The fields of sample `index`, from the pairs in the ledger."""
    plan = read_sample_plan(folder, index)
    if plan is None:
        raise BadInput(f"{folder.url} has no pairs for sample {index}; start the build again")
    return plan
