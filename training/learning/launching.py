"""The store of a run: found by a catalog query, and recorded when the run begins."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.query import Match
from corrstore.catalog.queries.selection import Region, parse_region
from corrstore.catalog.tables.names import location_of
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.recipe.periods import Interval, parse_period
from corrstore.datasets.recipe.samples import SplitsSpec
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import damaged, read_json, write_json
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.run_config import RunConfig

RUN_RECORD = "config.json"


class Query(BaseModel):
    """A query for the store that has these target channels, and these times in its train split."""

    model_config = ConfigDict(frozen=True)

    catalog: str
    variables: tuple[str, ...]
    period: str | None = None
    resolution: float | None = None
    region: Region | None = None

    def __str__(self) -> str:
        words = [", ".join(self.variables)]
        words += [str(parse_period(self.period))] if self.period else []
        words += [f"resolution {self.resolution:g}"] if self.resolution is not None else []
        words += [f"region {','.join(f'{side:g}' for side in self.region)}"] if self.region else []
        return "; ".join(words)


class RunStore(BaseModel):
    """The store of a run."""

    url: str
    fingerprint: str
    targets: list[str]


class RunRecord(BaseModel):
    """The settings, store and query of a run, and the run whose weights it began with: config.json in its folder."""

    config: RunConfig
    store: RunStore
    query: Query | None
    begun_from: str | None = None


def query_for(
    store: str | None,
    catalog: str | None,
    variables: list[str],
    period: str | None,
    resolution: float | None,
    region: str | None,
) -> Query | None:
    """Return the query for the catalog, or None where the store is named; raise BadInput for neither and for both."""
    if store is not None:
        if catalog or variables or resolution is not None or region:
            raise BadInput("--store names the store; leave out --catalog, --variable, --resolution and --region")
        return None
    if catalog is None or not variables:
        raise BadInput("say on which store: --store STORE, or --catalog CATALOG with a --variable for each target")
    return Query(
        catalog=location_of(Folder(catalog)),
        variables=tuple(sorted(set(variables))),
        period=period,
        resolution=resolution,
        region=None if region is None else parse_region(region),
    )


def store_for(query: Query, run: Path) -> str:
    """Return the location of the store of the run in this folder: the recorded one, else the only match in the catalog.

    Stores that are registered after the run began do not change it. Raises BadInput where the run was begun by another
    query, or its store has changed; where no store matches, with what each lacks; where several match, with their
    differences.
    """
    if not (run / RUN_RECORD).exists():
        return _only_store(query)
    record = read_run_record(run)
    if record.query is None:
        raise BadInput(
            f"{run} was begun with --store {record.store.url}, but now a catalog is asked for {query};"
            " go on with --store, or give another folder"
        )
    changed = [
        f"  {name}: began with {getattr(record.query, name)!r}, now {getattr(query, name)!r}"
        for name in Query.model_fields
        if getattr(record.query, name) != getattr(query, name)
    ]
    if changed:
        raise BadInput(
            "\n".join([f"{run} was begun by another query; give another folder, or ask as before:", *changed])
        )
    found = open_store(record.store.url).fingerprint
    if found != record.store.fingerprint:
        raise BadInput(
            f"{run} was begun on {record.store.url} of fingerprint {record.store.fingerprint}, which has {found} now;"
            " give another folder, or name a copy of that store with --store"
        )
    return record.store.url


def check_start(run: Path, asked: str | None) -> str | None:
    """Return the run whose weights a run with a checkpoint began with; raise BadInput where another one is `asked` for.

    Where the run's record is gone or damaged, it is the one that is asked for.
    """
    begun_from = asked
    if (run / RUN_RECORD).exists():
        with suppress(DamagedData):
            begun_from = read_run_record(run).begun_from
    if asked not in (None, begun_from):
        raise BadInput(
            f"{run} began with {f'the weights of {begun_from}' if begun_from else 'weights of its own'}, now --from is"
            f" {asked}; give another folder, or leave out --from"
        )
    return begun_from


def refuse_other_content(run: Path) -> None:
    """Raise BadInput where the folder holds a store, a forecast or another program's config.json.

    One that is no JSON is taken for a run's that is damaged, which is written anew.
    """
    others = ["zarr.json"] if (run / "zarr.json").exists() else []
    with suppress(OSError, ValueError):
        content = json.loads((run / RUN_RECORD).read_bytes())
        if not isinstance(content, dict) or not {"config", "store"} & content.keys():
            others.append(RUN_RECORD)
    if others:
        raise BadInput(f"{run} holds {' and '.join(others)}, and no run of corrstore; give another --output")


def write_run_record(
    run: Path, store: Store, config: RunConfig, query: Query | None, begun_from: str | None = None
) -> None:
    """Write the record of a run into its folder."""
    targets = [channel.name for channel in store.plan.channels("target")]
    on = RunStore(url=location_of(store.folder), fingerprint=store.fingerprint, targets=targets)
    record = RunRecord(config=config, store=on, query=query, begun_from=begun_from)
    write_json(Folder(str(run)), RUN_RECORD, record.model_dump(mode="json"))


def read_run_record(run: Path) -> RunRecord:
    """Return the record of a run; raises DamagedData where it is not what was written."""
    folder, heal = Folder(str(run)), "name the store of the run with --store, and it is written anew"
    content = read_json(folder, RUN_RECORD, heal)
    try:
        return RunRecord.model_validate(content)
    except ValueError as error:
        raise damaged(folder, RUN_RECORD, str(error), heal) from None


def _only_store(query: Query) -> str:
    catalog = Catalog(query.catalog)
    period = None if query.period is None else parse_period(query.period)
    found = catalog.query(query.variables, period, resolution=query.resolution, region=query.region).stores
    lacking = [_lacking(match, query, period) for match in found]
    right = [match for match, lacks in zip(found, lacking, strict=True) if not lacks]
    if len(right) > 1:
        raise BadInput(
            "\n".join(
                [
                    f"{len(right)} stores of {query.catalog} have {query}; say which with --resolution or --region, or"
                    " name one with --store:",
                    *_apart(right),
                ]
            )
        )
    if not right:
        near = [f"  {match.name} at {match.location} {lacks}" for match, lacks in zip(found, lacking, strict=True)]
        none = [] if near else [f"  none of its {len(catalog.stores.rows)} stores has valid samples of any of it"]
        raise BadInput("\n".join([f"no store of {query.catalog} is right for {query}:", *near[:10], *none]))
    return right[0].location


def _lacking(match: Match, query: Query, period: Interval | None) -> str:
    """Return the reason why the store cannot be trained on for the query; empty where it can."""
    if match.status in ("vanished", "unreachable"):
        return f"is {match.status}"
    absent = [name for name in query.variables if "target" not in match.roles.get(name, [])]
    if absent:
        return f"has no target {', '.join(absent)}"
    train = _train_split(match)
    if train is None:
        return "has no train split"
    return "" if period is None or train.holds(period) else f"has the train split {train}"


def _train_split(match: Match) -> Interval | None:
    return SplitsSpec.model_validate(json.loads(match.row["recipe"])["splits"]).intervals.get("train")


def _apart(matches: list[Match]) -> list[str]:
    """A line for each store, with that which not all of them have alike."""
    facts = [_facts(match) for match in matches]
    differ = [key for key in facts[0] if len({each[key] for each in facts}) > 1]
    return [
        f"  {match.name} at {match.location}: " + ("; ".join(f"{key} {each[key]}" for key in differ) or "alike")
        for match, each in zip(matches, facts, strict=True)
    ]


def _facts(match: Match) -> dict[str, Any]:
    row, grid = match.row, match.row["target_grid"]
    return {
        "resolution": f"{grid['lat_step']:g} x {grid['lon_step']:g}",
        "region": ",".join(f"{grid[side]:g}" for side in ("west", "south", "east", "north")),
        "train split": str(_train_split(match)),
        "every": f"{row['frequency_seconds'] / 3600:g} h",
        "inputs": ", ".join(row["input_channels"]),
        "targets": ", ".join(row["target_channels"]),
        "static": ", ".join(row["static_channels"]),
        "dtype": row["dtype"],
        "fingerprint": row["fingerprint"],
    }
