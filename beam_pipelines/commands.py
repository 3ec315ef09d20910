"""The commands of the work at scale: synth, archive, plan, build, verify."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corrstore.datasets.commands import (
    BEAM,
    AsJson,
    Overrides,
    RecipeName,
    StorePath,
    Workers,
    fall_short,
    notices,
    print_json,
    results,
    stopped_by_signals,
)

if TYPE_CHECKING:
    from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.errors import BadInput

app = typer.Typer()


@app.command()
@stopped_by_signals()
def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the two archives are written.")],
    start: Annotated[
        str, typer.Option(help="First valid time, UTC: the first of a run of 00 or 12 UTC.")
    ] = "2020-07-01T12",
    end: Annotated[str, typer.Option(help="Before the end.")] = "2020-08-30T12",
    frequency: Annotated[int, typer.Option(help="Hours between valid times; it divides 12.")] = 12,
    shape: Annotated[str, typer.Option(help="Rows x columns of the target domain.")] = "160x240",
    fault: Annotated[
        list[str] | None,
        typer.Option(help="truncated, missing_hour, corrupt_message, expver_mix, bitmap, or `all`; may be repeated."),
    ] = None,
    level: Annotated[list[int] | None, typer.Option(help="Pressure levels in hPa; may be repeated.")] = None,
    packing: Annotated[
        str, typer.Option(help="grid_simple, grid_ccsds or grid_jpeg, of the fine files.")
    ] = "grid_simple",
    seed: Annotated[int, typer.Option(help="Seed of the weather.")] = 0,
    forecast_runs: Annotated[
        int, typer.Option(min=0, help="Runs of CMA-GFS, CMA-MESO and SFF, the last ones of the period.")
    ] = 0,
    forecast_leads: Annotated[
        int, typer.Option(min=1, help="Leads of each run, as far apart as the valid times are.")
    ] = 3,
    forecast_fault: Annotated[
        list[str] | None,
        typer.Option(help="missing_run, cut_short, cold_start, or `all`; each of a run of its own; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write SYNTHETIC archives like ERA5 and CMA-RRA, as genuine GRIB, with faults and forecasts on request.

    Example: `corrstore synth demo/archive --fault all --forecast-runs 2`
    """
    from corrstore.beam_pipelines.spreading.progress import counted_progress
    from corrstore.datasets.recipe.periods import parse_time
    from corrstore.datasets.synthetic import (
        ARCHIVES,
        FAULT_KINDS,
        FORECAST_FAULTS,
        MODELS,
        ForecastSpec,
        SyntheticSpec,
        made_whole,
        synthesise,
        synthesise_forecasts,
    )

    rows, _, columns = shape.partition("x")
    faults = frozenset(FAULT_KINDS if fault == ["all"] else fault or [])
    if not (rows.isdigit() and columns.isdigit()):
        raise typer.BadParameter(f"{shape!r} is not of the form 160x240", param_hint="--shape")
    spec = SyntheticSpec(
        start=parse_time(start),
        end=parse_time(end),
        frequency=frequency,
        seed=seed,
        shape=(int(rows), int(columns)),
        levels=tuple(level or (500, 850)),
        faults=faults,
        packing=packing,
    )
    processes = os.cpu_count() or 1
    lacks = frozenset(FORECAST_FAULTS if forecast_fault == ["all"] else forecast_fault or [])
    if lacks and not forecast_runs:
        raise typer.BadParameter("faults of forecasts need --forecast-runs", param_hint="--forecast-fault")
    forecasts = ForecastSpec(spec, forecast_runs, forecast_leads, faults=lacks) if forecast_runs else None
    count = spec.files + (forecasts.files if forecasts else 0)
    with (
        made_whole(directory, (*ARCHIVES, *MODELS)),
        counted_progress("synthesising", "files", count, notices) as one_more,
    ):
        archive = synthesise(directory, spec, lambda path: one_more(), processes)
        files, faults_made = list(archive.files), list[Any](archive.faults)
        if forecasts:
            made = synthesise_forecasts(directory, forecasts, lambda path: one_more(), processes)
            files, faults_made = [*files, *made.files], [*faults_made, *made.faults]
    if as_json:
        print_json({"directory": str(directory), "files": files, "faults": [asdict(each) for each in faults_made]})
        return
    results.print(f"{len(files)} SYNTHETIC files in {directory}")
    for fault_made in faults_made:
        results.print(f"damaged on purpose: {fault_made}", highlight=False, soft_wrap=True)


@app.command()
@stopped_by_signals()
def archive(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder, a file, or a Zarr group (also gs://, s3://).")],
    type: Annotated[
        str, typer.Option(help="A source type, or the path of a table: whose variables the fields are.")
    ] = "",
    table: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a source table to start from.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="An engine of xarray that opens the files, such as cfgrib.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an archive holds, without a recipe: files, fields, grids, times, and which variables they would be.

    Example: `corrstore archive /data/era5 --type era5 --table mine.yaml`
    """
    from corrstore.datasets.archives.contents.printing import as_dict, as_lines, as_table
    from corrstore.datasets.archives.contents.survey import other_readings, survey
    from corrstore.datasets.errors import BadInput, writing

    contents, known = survey(path, type, engine)
    for each in [] if type else other_readings(contents, known):
        notices.print(f"note: {each}", highlight=False, markup=False, soft_wrap=True)
    if table is not None:
        if table.exists():
            raise BadInput(f"--table {table} is there already; give another name, or remove it")
        with writing(table):
            table.write_text(as_table(contents, known, table.stem), encoding="utf-8")
        notices.print(f"wrote {table}: check each line, and give its path as the source's type", highlight=False)
    if as_json:
        print_json(as_dict(contents, known))
        return
    for each in as_lines(contents, known):
        results.print(each, highlight=False, markup=False, soft_wrap=True)


@app.command()
@stopped_by_signals()
def plan(
    recipe: RecipeName,
    override: Overrides = None,
    output: Annotated[
        str | None, typer.Option(metavar="STORE", help="A store that is there: name what has changed since.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a build would do and cost, and what is missing, before anything is written.

    Example: `corrstore plan china_3km --set sources.era5.path=/archive/era5`
    """
    from corrstore.beam_pipelines.plan import plan as make_plan
    from corrstore.beam_pipelines.printing import print_plan
    from corrstore.datasets.archives.native_grid import add_native_grids
    from corrstore.datasets.recipe.files import load_recipe
    from corrstore.datasets.storage.folder import Folder, absolute

    complete = load_recipe(recipe, override, add_native_grids)
    made = make_plan(complete, None if output is None else Folder(absolute(output)))
    if as_json:
        print_json(made.summary)
    else:
        print_plan(made)
    fall_short(made.missing_share, made.recipe.max_missing_share, len(made.preparation.missing), made.samples)


@app.command(context_settings=BEAM)
@stopped_by_signals()
def build(
    context: typer.Context,
    recipe: RecipeName,
    output: Annotated[str, typer.Option(metavar="STORE", help="The store's folder; made, continued or extended.")],
    override: Overrides = None,
    repair: Annotated[
        bool, typer.Option(help="Build again what the last `verify` named; where that is nothing, verify first.")
    ] = False,
    refresh: Annotated[bool, typer.Option(help="Build again what was made of files that are other ones now.")] = False,
    catalog: Annotated[str | None, typer.Option(metavar="CATALOG", help="Register the finished store there.")] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Build a training store, or continue, extend or repair one. Beam's options pass through.

    Example: `corrstore build demo --output demo/store`

    On a cluster: `corrstore build china_3km --output /scratch/store --runner=FlinkRunner --flink_master=host:8081`
    """
    from corrstore.beam_pipelines.build import build as run_build
    from corrstore.beam_pipelines.printing import print_report
    from corrstore.catalog.tables.registration import register_store
    from corrstore.datasets.archives.native_grid import add_native_grids
    from corrstore.datasets.recipe.files import load_recipe
    from corrstore.datasets.storage.folder import Folder, absolute

    made = load_recipe(recipe, override, add_native_grids)
    result = run_build(made, Folder(absolute(output)), beam_runner(context, workers), notices, repair, refresh)
    if catalog is not None:
        register_store(catalog, absolute(output))
    report = result.report
    if as_json:
        head = {"store": output, "written": result.written, "changed": result.changed, "gone": result.gone}
        print_json({**head, "input_shift": result.shift, **asdict(report)})
    else:
        print_report(output, result)
    fall_short(report.missing_share, made.max_missing_share, report.samples - report.valid, report.samples)


@app.command(context_settings=BEAM)
@stopped_by_signals()
def convert(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="A finished store of an older layout; it is not changed.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The folder of the new store.")],
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Write a store of an older layout anew in the present one; no number changes, and no archive is read.

    Example: `corrstore convert old/store new/store`
    """
    from corrstore.beam_pipelines.build import BuildResult
    from corrstore.beam_pipelines.convert import convert as run_convert
    from corrstore.beam_pipelines.printing import print_report
    from corrstore.datasets.storage.folder import Folder, absolute

    report = run_convert(Folder(absolute(old)), Folder(absolute(new)), beam_runner(context, workers), notices)
    if as_json:
        print_json({"store": new, **asdict(report)})
    else:
        print_report(new, BuildResult(report.samples, report))


@app.command(context_settings=BEAM)
@stopped_by_signals()
def verify(
    context: typer.Context,
    store: StorePath,
    against_source: Annotated[bool, typer.Option(help="Compare random valid samples with the archives.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="How many of them.")] = 8,
    seed: Annotated[int | None, typer.Option(help="Draw the same ones each time.")] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Check that every shard is there, decodes and is what its record says; name what to build again.

    Example: `corrstore verify demo/store --against-source`
    """
    from corrstore.beam_pipelines.printing import print_verdict
    from corrstore.beam_pipelines.verify import verify_folder
    from corrstore.datasets.storage.folder import absolute

    verdict = verify_folder(
        absolute(store),
        beam_runner(context, workers),
        notices,
        samples if against_source else 0,
        seed,
    )
    if as_json:
        print_json(asdict(verdict))
    else:
        print_verdict(store, verdict)
    raise typer.Exit(0 if verdict.passed else 1)


def beam_runner(context: typer.Context, workers: int | None) -> Runner:
    """Return Beam's runner by the options that are not the command's own; raises BadInput where nobody has one."""
    from corrstore.beam_pipelines.spreading.options import refuse_unknown
    from corrstore.beam_pipelines.spreading.spread import Runner

    for value in context.params.values():  # Beam's options are let through, so a wrong one may stand for a path
        if isinstance(value, str) and value.startswith("-"):
            raise BadInput(f"got {value} where a path is expected; see `corrstore {context.info_name} --help`")
    options = tuple(context.args)
    refuse_unknown(options, [name for parameter in context.command.params for name in parameter.opts])
    return Runner(options, workers)
