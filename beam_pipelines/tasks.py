"""The tasks of workers, each for one sample or file."""

from __future__ import annotations

from dataclasses import dataclass

from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.checksums import FileChecksum, file_checksum
from corrstore.datasets.samples.sample import measure_sample
from corrstore.datasets.samples.writing import write_sample
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import read_plan
from corrstore.datasets.store.layout import StorePlan
from corrstore.datasets.store.records import SampleRecord


@dataclass(frozen=True)
class MeasureSample:
    """Pass 1: the statistics of a sample's transformed numbers, from which the constants come."""

    folder: Folder
    recipe: Recipe

    def __call__(self, index: int) -> SampleRecord:
        """The record of sample `index`; nothing is written."""
        return measure_sample(self.recipe, read_plan(self.folder, index))


@dataclass(frozen=True)
class WriteSample:
    """Pass 2: a sample's shards."""

    folder: Folder
    plan: StorePlan

    def __call__(self, index: int) -> SampleRecord:
        """Write the shards of sample `index`; returns its record, with the statistics of what is stored."""
        return write_sample(self.folder, self.plan, read_plan(self.folder, index))


@dataclass(frozen=True)
class ChecksumFile:
    """The checksums of the files that a store is made from."""

    paths: tuple[str, ...]

    def __call__(self, index: int) -> FileChecksum:
        """The checksum of file `index`."""
        return file_checksum(self.paths[index])
