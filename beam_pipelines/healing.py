"""What may be damaged in a ledger, and what heals it: copies, the metadata, the records, the archives."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from corrstore.beam_pipelines.changes import read_history
from corrstore.beam_pipelines.finish import read_report
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.build_record import BuildRecord, read_build_record
from corrstore.datasets.store.constants import Constants, constants_from_records
from corrstore.datasets.store.layout import StorePlan, stored_normalisation
from corrstore.datasets.store.ledger import (
    BUILD,
    CHECKSUMS,
    HISTORY,
    MEASUREMENTS,
    METADATA,
    RECORDS,
    REPORT,
    STATIC,
    UNFINISHED,
    copy_of,
    damaged,
    damaged_objects,
    write_json,
)
from corrstore.datasets.store.opening import read_attributes
from corrstore.datasets.store.records import read_record, read_records


def damaged_files(folder: Folder) -> list[str]:
    """Return the keys of all objects but the shards that are not what was written, sorted.

    The build record is held against the metadata too: stores of before lack it in their manifest.
    """
    found = {*damaged_objects(folder)}
    for key, read in ((REPORT, read_report), (HISTORY, read_history), (METADATA, read_attributes)):
        try:
            read(folder)
        except (DamagedData, FileNotFoundError):
            found.add(key)
    try:
        build_record = read_build_record(folder)
        if build_record is None or (METADATA not in found and not _is_of_metadata(folder, build_record)):
            found.add(BUILD)
    except DamagedData:
        found.add(BUILD)
    return sorted(found)


def refuse_other_constants(folder: Folder, build_record: BuildRecord) -> None:
    """Raise DamagedData where a store's metadata is damaged, or has other constants than the build record."""
    if folder.exists(METADATA) and not _has_constants(build_record, read_attributes(folder)):
        raise damaged(folder, BUILD, "its constants are not those in zarr.json")


def healthy_build_record(folder: Folder) -> BuildRecord | None:
    """Return the build record from where it is whole: itself, its copy, or the metadata; None where there is none.

    Raises DamagedData where all of them are damaged.
    """
    found = []
    for key in (BUILD, copy_of(BUILD)):
        with suppress(DamagedData):
            build_record = read_build_record(folder, key)
            if build_record is not None:
                found.append(build_record)
                if _is_of_metadata(folder, build_record):
                    return build_record
    try:
        attributes = read_attributes(folder)
    except (DamagedData, FileNotFoundError):
        if found:
            return found[0]
        if not folder.exists(BUILD) and not folder.exists(METADATA):
            return None
        raise DamagedData(
            f"{folder.path(BUILD)}, its copy and zarr.json are damaged, and nothing else tells the constants of the"
            " store: it cannot be healed; restore one of them from a copy, or build into another folder"
        ) from None
    recipe = recipe_from(attributes["recipe"], folder.path(METADATA))
    if found and found[0].constants is not None:
        notes = found[0].constants.notes
    else:
        records = read_records(folder, MEASUREMENTS) if folder.names(MEASUREMENTS) else []
        with suppress(DamagedData):
            notes = constants_from_records(recipe, records).notes if records else {}
    normalisations = {
        role: [stored_normalisation(*each) for each in attributes["fingerprint_fields"][role]["normalisation"]]
        for role in recipe.roles
    }
    rules = found[0].rules if found else used_rules(recipe)
    return BuildRecord(recipe, rules, Constants(normalisations, notes))


def _is_of_metadata(folder: Folder, build_record: BuildRecord) -> bool:
    """Return whether the record has the constants of the metadata and, where the build is finished, its recipe."""
    try:
        attributes = read_attributes(folder)
    except (DamagedData, FileNotFoundError):
        return True
    unfinished = folder.exists(UNFINISHED)
    return _has_constants(build_record, attributes) and (
        unfinished or build_record.recipe.content == attributes["recipe"]
    )


def _has_constants(build_record: BuildRecord, attributes: dict[str, Any]) -> bool:
    constants = build_record.constants
    if constants is None:
        return False
    return StorePlan(build_record.recipe, constants.normalisations).fingerprint == attributes["fingerprint"]


@dataclass(frozen=True)
class Lost:
    """What a healer took away because it was damaged: the names of measurements and of checksums, and all keys."""

    measurements: set[str] = field(default_factory=set)
    checksums: set[str] = field(default_factory=set)
    keys: tuple[str, ...] = ()


def remove_damaged(folder: Folder) -> Lost:
    """Remove what is made anew where it is absent (records, measurements, checksums), and restore what has a copy.

    Folders that lie in the place of files, and files in the place of folders, are removed too.
    Raises DamagedData for what cannot be healed.
    """
    keys = set(damaged_files(folder)) | set(_unreadable_records(folder))
    for key in keys:
        made_anew = key == STATIC or key.startswith((f"{RECORDS}/", f"{MEASUREMENTS}/", f"{CHECKSUMS}/"))
        folder.remove_obstacle(key)
        if made_anew:
            folder.remove(key)
    if keys & {HISTORY, copy_of(HISTORY)}:
        _heal_history(folder)
    return Lost(_names(keys, MEASUREMENTS), _names(keys, CHECKSUMS), tuple(sorted(keys)))


def _unreadable_records(folder: Folder) -> Iterable[str]:
    for key in [STATIC, *(f"{place}/{name}" for place in (RECORDS, MEASUREMENTS) for name in folder.names(place))]:
        try:
            if folder.exists(key):
                read_record(folder, key)
        except DamagedData:
            yield key


def _names(keys: Iterable[str], place: str) -> set[str]:
    return {key.removeprefix(f"{place}/") for key in keys if key.startswith(f"{place}/")}


def _heal_history(folder: Folder) -> None:
    for key in (HISTORY, copy_of(HISTORY)):
        with suppress(DamagedData):
            if folder.exists(key):
                write_json(folder, HISTORY, {"history": read_history(folder, key)}, twice=True)
                return
    raise DamagedData(
        f"{folder.path(HISTORY)} and its copy are damaged, and nothing else tells how the splits were changed: it"
        f" cannot be healed; restore it, or remove it and {copy_of(HISTORY)}, and give the same command again"
    )
