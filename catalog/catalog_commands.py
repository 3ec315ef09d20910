"""The commands of a catalog: add, list, query, statistics, diff, prune."""

from __future__ import annotations

from typing import Annotated

import typer

from corrstore.catalog.printing.output import AsForm, Form, Output, print_as_json, several, shown, write_rows
from corrstore.datasets.commands import AsJson, notices, results

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Which stores there are: variables, periods, statistics. All times are UTC.\n\n"
    "Example: `corrstore catalog query --variable t2m --period 2020-07 --catalog demo/catalog`",
)

CatalogUrl = Annotated[
    str,
    typer.Option(
        "--catalog",
        envvar="CORRSTORE_CATALOG",
        metavar="CATALOG",
        help="The catalog's folder, or gs:// or s3://bucket/path.",
    ),
]
Variables = Annotated[
    list[str] | None, typer.Option("--variable", metavar="CHANNEL", help="Such as t2m or u_850; may be repeated.")
]
Period = Annotated[
    str | None,
    typer.Option(metavar="START/END", help="2019-06/2019-09 (whole months), 2019, 2019-06-01T00/2019-06-02T12."),
]
_QUANTILES = (0.05, 0.5, 0.95)
_STORES = "A store's name, location or id."


@app.command()
def add(
    stores: Annotated[list[str], typer.Argument(metavar="STORE...", help="Finished stores' folders or URLs.")],
    catalog: CatalogUrl,
) -> None:
    """Register stores, or register them again after they have changed. The catalog is made if it is not there.

    Example: `corrstore catalog add demo/store --catalog demo/catalog`
    """
    from corrstore.catalog.tables.registration import register_store

    for store in stores:
        register_store(catalog, store)
        notices.print(f"registered {shown(store)} in {shown(catalog)}", markup=False, highlight=False, soft_wrap=True)


@app.command("list")
def list_stores(catalog: CatalogUrl, as_json: AsJson = False, form: AsForm = Form.TABLE, output: Output = None) -> None:
    """List the stores, and whether they are still present, have changed since, have vanished or are unreachable.

    Example: `corrstore catalog list --catalog demo/catalog`
    """
    from corrstore.catalog.printing.rows import print_stores
    from corrstore.catalog.queries.access import Catalog

    rows = Catalog(catalog).listing()
    if not write_rows(rows, as_json, form, output):
        print_stores(rows)


@app.command()
def query(
    catalog: CatalogUrl,
    variable: Variables = None,
    period: Period = None,
    frequency: Annotated[str | None, typer.Option(metavar="STEP", help="Samples at all such times: 3h.")] = None,
    resolution: Annotated[float | None, typer.Option(help="Resolution of the target grid in degrees.")] = None,
    region: Annotated[
        str | None, typer.Option(metavar="W,S,E,N", help="Inside the target grid, in degrees: 100,20,120,40.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Only stores that alone hold everything; exit code 1 where none does.")
    ] = False,
    as_json: AsJson = False,
    form: AsForm = Form.TABLE,
    output: Output = None,
) -> None:
    """Find the stores, or the combination of stores, that hold something, and what of the period is missing.

    Example: `corrstore catalog query --variable t2m --variable u_850 --period 2019-06/2019-09 --frequency 3h`
    """
    from corrstore.catalog.printing.rows import missing_rows, print_answer, rows_of_answer
    from corrstore.catalog.queries.access import Catalog

    found = Catalog(catalog).query(variable or [], period, frequency, resolution, region, complete, reasons=True)
    rows = rows_of_answer(found)
    if as_json:
        answer = {"complete": found.complete, "stores": rows, "missing": missing_rows(found.missing)}
        print_as_json(answer, form, output)
    elif not write_rows(rows, False, form, output):
        print_answer(found, alone=complete)
    if complete and not found.complete:
        raise typer.Exit(1)


@app.command()
def statistics(
    catalog: CatalogUrl,
    variable: Variables = None,
    period: Period = None,
    months: Annotated[str, typer.Option(metavar="M,M", help="Months of the year, such as 6,7,8.")] = "",
    hours: Annotated[str, typer.Option(metavar="H,H", help="Hours of the day, such as 0,12.")] = "",
    residual: Annotated[
        bool, typer.Option("--residual", help="Give the statistics of target minus upsampled input.")
    ] = False,
    quantile: Annotated[
        list[float] | None,
        typer.Option(metavar="SHARE", help="Between 0 and 1; may be repeated.  [default: 0.05 0.5 0.95]"),
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="STORE", help=_STORES)] = None,
    as_json: AsJson = False,
    form: AsForm = Form.TABLE,
    output: Output = None,
) -> None:
    """Merge the statistics of a period's valid samples, for each store that holds the variables.

    Example: `corrstore catalog statistics --variable tp --period 2019-06/2019-09 --hours 0,12 --quantile 0.99`
    """
    from corrstore.catalog.printing.rows import print_statistics
    from corrstore.catalog.queries.access import Catalog
    from corrstore.catalog.queries.selection import parse_numbers

    found = Catalog(catalog).statistics(
        variable or [],
        period,
        parse_numbers("--months", months),
        parse_numbers("--hours", hours),
        residual,
        quantile or _QUANTILES,
        store,
    )
    rows = [one.row for one in found]
    if not write_rows(rows, as_json, form, output):
        print_statistics(found)


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="STORE", help=_STORES)],
    second: Annotated[str, typer.Argument(metavar="STORE", help=_STORES)],
    catalog: CatalogUrl,
    as_json: AsJson = False,
    form: AsForm = Form.TABLE,
    output: Output = None,
) -> None:
    """Say what differs between two stores: grids, channels, constants, periods, statistics, shards.

    Example: `corrstore catalog diff demo/store /archive/store --catalog demo/catalog`
    """
    from corrstore.catalog.printing.rows import print_differences
    from corrstore.catalog.queries.access import Catalog

    found = Catalog(catalog).diff(first, second)
    rows = [each._asdict() for each in found]
    if not write_rows(rows, as_json, form, output):
        print_differences(found)


@app.command()
def prune(
    catalog: CatalogUrl,
    store: Annotated[
        list[str] | None, typer.Argument(metavar="[STORE]...", help="Forget these, in place of those that vanished.")
    ] = None,
    grace: Annotated[str, typer.Option(help="Keep files for so long after they have ceased to count.")] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget the stores that have vanished, and remove what killed or replaced registrations have left.

    Example: `corrstore catalog prune --catalog demo/catalog --dry-run`
    """
    from corrstore.catalog.queries.access import Catalog
    from corrstore.catalog.queries.pruning import prune as prune_catalog
    from corrstore.datasets.recipe.periods import parse_duration

    pruned = prune_catalog(Catalog(catalog), store or [], parse_duration(grace).astype(object), dry_run)
    if as_json:
        print_as_json({"stores": pruned.stores, "files": pruned.files})
        return
    would = "would forget" if dry_run else "forgot"
    for row in pruned.stores:
        text = f"{would} {shown(row['name'])} at {shown(row['location'])}"
        results.print(text, markup=False, highlight=False, soft_wrap=True)
    stores, files = several(len(pruned.stores), "store"), several(len(pruned.files), "file")
    notices.print(f"{stores} and {files} {'to remove' if dry_run else 'removed'}")
