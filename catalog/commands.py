"""The commands about stores that are there: inspect, report, catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from corrstore.catalog import catalog_commands, page_commands
from corrstore.datasets.commands import AsJson, StorePath, notices, print_json, results

app = typer.Typer()
catalog_commands.app.add_typer(page_commands.app)
app.add_typer(catalog_commands.app, name="catalog")


@app.command()
def inspect(store: StorePath, as_json: AsJson = False) -> None:
    """Show what a store holds: grids, period, channels and their constants, and what is missing.

    Example: `corrstore inspect demo/store`
    """
    from corrstore.datasets.store.description import describe
    from corrstore.datasets.store.opening import open_store

    description = describe(open_store(store))
    if as_json:
        print_json(description)
        return
    results.print(f"[bold]{description['title']}[/bold]  {store}")
    for key in (
        "period",
        "frequency",
        *(("runs", "leads") if "runs" in description else ()),
        "samples",
        "valid",
        "dtype",
        "bytes",
        "fingerprint",
        "software",
        "static",
    ):
        results.print(f"  {key:<12} {description[key]}")
    for role in (role for role in ("input", "target") if role in description):
        grid = description[role]["grid"]
        table = Table(
            "channel",
            "units",
            "transform",
            "mean",
            "std",
            "window",
            title=f"{role}: {grid}",
            title_justify="left",
        )
        for channel in description[role]["channels"]:
            table.add_row(
                *(
                    f"{channel[key]:.6g}" if isinstance(channel[key], float) else str(channel[key])
                    for key in ("name", "units", "transform", "mean", "std", "window")
                )
            )
        results.print(table)


@app.command()
def report(
    store: StorePath,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The page, one self-contained HTML file.")],
) -> None:
    """Write a page with maps, histograms and the coverage of a store.

    Example: `corrstore report demo/store --output demo/report.html`
    """
    from corrstore.catalog.pages.report import write_report
    from corrstore.datasets.store.opening import open_store

    write_report(open_store(store), output)
    notices.print(f"wrote {output}")
