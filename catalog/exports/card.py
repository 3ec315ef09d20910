"""The dataset card of a store: what is in it, how it was made and how it is read, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import yaml

from corrstore.catalog.drawing.calendar import STATUSES
from corrstore.catalog.pages.store_page import summarise_sources
from corrstore.catalog.pages.store_summary import StoreSummary, summarise_store
from corrstore.catalog.printing.markup import code, code_block, escaped, plain, table
from corrstore.catalog.printing.wording import NONE, count, is_synthetic, number, share, short_number, size, time, units
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.series import SeriesReader

_MOST_GAPS = 20
_EXPLAINED = "- Explained is 1 − Var(residual) / Var(target): what bilinear upsampling of the input alone gives.\n"
_TAGS = ["weather", "downscaling", "corrdiff", "zarr"]


def card_of(catalog: Catalog, store: str) -> str:
    """Return the card of a store, given by its name, location or id; raise BadInput where that is none or several."""
    key = catalog.stores.named(store)["store"]
    row = next(row for row in catalog.listing() if row["store"] == key)
    summary = summarise_store(catalog.tables, SeriesReader(catalog.tables), row, row["status"])
    return dataset_card(summary, catalog.tables.rows("sources", [row["registration"]]))


def dataset_card(summary: StoreSummary, sources: pa.Table) -> str:
    """The card of a store, by its summary and its rows of the table `sources`, with YAML front matter."""
    front = {"pretty_name": plain(summary.title), "license": "unknown", "tags": _TAGS}
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# {escaped(summary.title)}",
        *_summary(summary),
        *_variables(summary),
        *_coverage(summary),
        *_making(summary, sources),
        "## Use",
        code_block(_snippet(summary), "python"),
        *_limits(summary),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(summary: StoreSummary) -> Iterator[str]:
    row = summary.row
    if is_synthetic(summary.title):
        yield "**SYNTHETIC: these fields were computed for demonstration. Nothing in them was observed.**"
    coarse, fine = (len(summary.channels[role]) for role in ("input", "target"))
    what = (
        f"A training store for models that downscale {coarse} coarse channels to {fine} fine ones"
        if coarse and fine
        else f"A store of forecasts for models that downscale them, {coarse} coarse channels"
        if coarse
        else f"A store of forecasts, {fine} fine channels"
    )
    yield f"{what}, {count(row['valid'] or 0)} valid samples {summary.cadence}."
    facts = [
        ["Store", code(row["location"])],
        ["Period", f"{time(summary.start)} to before {time(summary.end)}"],
        ["Samples", ", ".join(f"{count(row[status] or 0)} {status}" for status in STATUSES)],
        *([role.capitalize(), _grid(row[f"{role}_grid"])] for role in ("input", "target")),
        ["Size", f"{size(row['bytes'] or 0)}, {plain(row['dtype'] or 'numbers')}"],
        ["Fingerprint", code(row["fingerprint"] or NONE)],
        ["Built by", escaped(row["software"] or NONE)],
    ]
    yield table(["", ""], facts, 2)


def _grid(grid: dict[str, float] | None) -> str:
    if not grid or not grid["rows"]:
        return NONE
    step = short_number(round(grid["lat_step"], 6))
    box = f"{grid['south']:g} to {grid['north']:g} °N, {grid['west']:g} to {grid['east']:g} °E"
    return f"{grid['rows']} × {grid['columns']} points, {step}°, {box}"


def _variables(summary: StoreSummary) -> Iterator[str]:
    yield "## Variables"
    yield (
        "Numbers are physical, of all valid samples. A stored number is (transform(x) − mean) / std with the constants"
        " of the train split alone, which are in the store beside the arrays."
    )
    head = ["channel", "what", "units", "transform", "mean", "std", "lowest", "highest", "explained"]
    for role in (role for role in ("target", "input") if summary.channels[role]):
        rows = []
        for each in summary.channels[role]:
            block = each.counted.statistics if each.counted else None
            counted = (block.mean, block.std, block.minimum, block.maximum) if block else (float("nan"),) * 4
            unit = escaped(units(each.row["units"] or "1") or "1")
            explained = share(summary.explained(each.row["channel"])) if role == "target" else NONE
            words = [code(each.row["channel"]), escaped(each.what), unit, escaped(each.row["transform"] or NONE)]
            rows.append([*words, *map(number, counted), explained])
        last = len(head) if role == "target" else -1
        yield f"### {role.capitalize()}"
        yield table(head[:last], [cells[:last] for cells in rows], 4)
    if summary.channels["static"]:
        yield "### Static"
        yield table(
            ["channel", "what", "units"],
            [
                [code(each.row["channel"]), escaped(each.what), escaped(each.row["units"] or "1")]
                for each in summary.channels["static"]
            ],
            3,
        )


def _coverage(summary: StoreSummary) -> Iterator[str]:
    yield "## Coverage of time"
    years = [
        [
            page.title or f"{str(summary.start)[:10]} to {str(summary.end)[:10]}",
            count(whole.samples),
            count(whole.lacking),
        ]
        for page in summary.pages
        for whole in page.sheets[:1]
    ]
    yield table(["period", "samples", "not valid"], years, 1)
    splits = summary.recipe.get("splits") or {}
    rows = [
        [name, escaped(each["start"]), escaped(each["end"])]
        for name, each in splits.items()
        if name != "embargo" and each  # a recipe may lack validation or test
    ]
    if rows:
        yield f"Splits are half-open, with an embargo of {escaped(splits.get('embargo', '0h'))}."
        yield table(["split", "from", "to before"], rows, 3)
    gaps = [each for each in summary.coverage if each["status"] != "valid"]
    if gaps:
        sides = ["init_time", "start", "end"] if summary.of_forecasts else ["start", "end"]
        reasons = [
            [*(f"{each[side]:%Y-%m-%d %H:%M}" for side in sides), each["status"], _why(each["reasons"])]
            for each in gaps[:_MOST_GAPS]
        ]
        more = f" The first {_MOST_GAPS} of {count(len(gaps))}:" if len(gaps) > _MOST_GAPS else ""
        yield f"Samples that are not valid keep their place in time; reading one is an error unless asked for.{more}"
        run = ["run"] if summary.of_forecasts else []
        yield table([*run, "from", "to before", "status", "why"], reasons, 5)


def _why(reasons: list[str] | None) -> str:
    if not reasons:
        return NONE
    return escaped(reasons[0]) + (f" and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def _making(summary: StoreSummary, sources: pa.Table) -> Iterator[str]:
    yield "## How it was made"
    rows = [
        [code(each.name), escaped(", ".join(each.formats)) or NONE, count(each.files), size(each.bytes)]
        for each in summarise_sources(sources)
    ]
    if rows:
        yield table(["source", "format", "files", "size"], rows, 2)
    yield "The recipe; the same recipe over the same archives gives the same bytes."
    yield code_block(summary.recipe_text, "yaml")


def _snippet(summary: StoreSummary) -> str:
    role = "target" if summary.channels["target"] else "input"
    return "\n".join(
        [
            "from corrstore.datasets.store import open_store",
            "",
            f"store = open_store({plain(summary.row['location'])!r})",
            f'store.dataset("{role}")             # xarray, in physical units, read lazily',
            f'store.physical("{role}", index=0)   # NumPy [channel, lat, lon]',
        ]
    )


def _limits(summary: StoreSummary) -> Iterator[str]:
    yield "## Limits"
    yield (
        "- The terms of the archives that it was built from apply to it; corrstore does not know them.\n"
        + _EXPLAINED * bool(summary.channels["residual"])
        + f"- Numbers are stored as {escaped(summary.row['dtype'] or 'declared')}; the recipe says what may be missing,"
        " raised to a floor, lowered to a cap or transformed."
    )
