"""The command that uses a trained model: sample."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer
from rich.console import Console

from corrstore.datasets.commands import notices, process_rank, stopped_by_signals
from corrstore.datasets.errors import BadInput
from corrstore.training.evaluation_options import (
    AllowTraining,
    Baselines,
    Climatology,
    Match,
    Persistence,
    Regions,
    asked_comparison,
)

if TYPE_CHECKING:
    from corrstore.training.evaluation.agenda import Agenda
    from corrstore.training.evaluation.records.drawing import DrawnForecast, Kept
    from corrstore.training.forecasts.files import Forecast
    from corrstore.training.forecasts.forecast import ForecastSampler

app = typer.Typer()

StoreOption = Annotated[str, typer.Option("--store", metavar="STORE", help="The store's folder.")]


@app.command()
@stopped_by_signals()
def sample(
    store: StoreOption,
    checkpoint: Annotated[Path, typer.Option(metavar="RUN", help="A run's folder, or one of its .pt files.")],
    output: Annotated[str, typer.Option(metavar="FORECAST", help="The folder of the forecast; it may be unfinished.")],
    members: Annotated[int, typer.Option(min=0, help="Members of the ensemble; 0: the regression alone.")] = 8,
    split: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        typer.Option(help="Draw this split's samples; by default test, but all where you choose otherwise."),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME", help="Draw this run of a store of forecasts, UTC; may be repeated."),
    ] = None,
    lead: Annotated[
        list[str] | None, typer.Option(metavar="3h", help="Draw this lead time of the runs; may be repeated.")
    ] = None,
    times: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME", help="Draw the samples of this valid time, UTC; may be repeated."),
    ] = None,
    period: Annotated[
        str | None, typer.Option(help="Draw the samples whose valid times lie in it, such as 2020-07-01/2020-07-03.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="W,S,E,N", help="Draw this part of the domain, a box in degrees: WEST,SOUTH,EAST,NORTH."),
    ] = None,
    form: Annotated[
        Literal["zarr", "netcdf"],
        typer.Option("--format", help="The form of the forecast: one Zarr, or a folder of NetCDF files."),
    ] = "zarr",
    steps: Annotated[
        int | None, typer.Option(min=2, help="Steps of the sampler; by default 2 for each factor e of noise levels.")
    ] = None,
    sigma_min: Annotated[
        float | None, typer.Option(help="The lowest noise level of the sampler; by default the training's.")
    ] = None,
    sigma_max: Annotated[
        float | None, typer.Option(help="The highest noise level of the sampler; by default the training's.")
    ] = None,
    eta: Annotated[float, typer.Option(min=0, help="Rate of fresh noise; 0: a deterministic sampler.")] = 0.0,
    tile: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Height and width of a tile in pixels; by default the training's patch."),
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, help="Overlap of tiles in pixels; by default an eighth of a tile.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Tiles that pass a network at once; they bound the memory.")] = 4,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the noise, with the member and the valid time, or run and lead time.")
    ] = 0,
    temporal_noise: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="Noise of a member along a run's lead times, or valid times: independent, shared, or the time in"
            " which its correlation falls to 1/e, such as 12h.",
        ),
    ] = "independent",
    device: Annotated[
        str, typer.Option(help="The device: cpu, cuda, cuda:1; auto takes this process's GPU if any.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of PyTorch on the CPU; by default the cores.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes on this machine, one a GPU.")] = 1,
    score: Annotated[
        bool,
        typer.Option("--score", help="Score while drawing, into FORECAST/evaluation, and keep only what --keep says."),
    ] = False,
    truth: Annotated[
        str | None, typer.Option(metavar="STORE", help="With --score: a store of valid times, the truth.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="With --score: what is kept, such as regression,case:2023-07-29T00."),
    ] = None,
    baseline: Baselines = None,
    match: Match = None,
    regions: Regions = None,
    persistence: Persistence = False,
    climatology: Climatology = False,
    allow_training: AllowTraining = False,
) -> None:
    """Draw an ensemble of fine fields for samples of a store, and write it as CF Zarr or NetCDF.

    The store is the one that the model was trained on, or one built like it, such as a store of forecasts that has the
    input alone. Started again it goes on where it stopped. Processes, of `--processes` or `torchrun`, share members
    and times.

    Example: `corrstore sample --store demo/store --checkpoint demo/diffusion --output demo/forecast --members 8`

    With `--score` it needs no disk for the fields: each sample is scored as `corrstore evaluate` would, with the same
    options, and forgotten. What was not kept can be drawn again alone: the noise depends on the sample and the member.

    Example: `corrstore sample --store demo/forecast_input --checkpoint demo/diffusion --output judged --score
    --truth demo/store --baseline cma_meso=demo/cma_meso --keep regression,case:2020-08-28T00`

    Example: `corrstore sample --store demo/forecast_input --checkpoint demo/diffusion --output part
    --init 2020-08-28T00 --lead 12h --lead 24h --region 103,31.5,104,32.5 --temporal-noise 12h`
    """
    from corrstore.training.learning.process_group import end_with_parent, in_process_group, run_in_processes

    end_with_parent()
    judged = {
        **{"--truth": truth, "--keep": keep, "--baseline": baseline, "--match": match, "--regions": regions},
        **{"--persistence": persistence, "--climatology": climatology, "--allow-training": allow_training},
    }
    if not score and (given := [name for name, value in judged.items() if value]):
        raise BadInput(f"{given[0]} is of scoring; give --score too")
    if score and (truth is None or "://" in output):
        raise BadInput("--score needs --truth STORE, and a local --output: the report is written beside the forecast")
    if score and form == "netcdf":
        raise BadInput("--score keeps what --keep says as Zarr; leave out --format netcdf")
    if processes > 1 and not in_process_group():
        run_in_processes(processes)
        notices.print(f"wrote {output}", highlight=False, soft_wrap=True)
        return
    import torch

    from corrstore.datasets.storage.ownership import one_writer
    from corrstore.datasets.store.opening import open_store
    from corrstore.training.diffusion.noise import TemporalNoise
    from corrstore.training.diffusion.sampler import SamplerConfig
    from corrstore.training.evaluation.agenda import make_agenda
    from corrstore.training.evaluation.records.drawing import DrawnForecast, Kept
    from corrstore.training.forecasts.forecast import ForecastSampler
    from corrstore.training.forecasts.selection import Selection, region_patch
    from corrstore.training.forecasts.settings import SamplingSettings, sampled_levels, tile_overlap, tile_size
    from corrstore.training.learning.checkpoint import load_checkpoint, other_grid
    from corrstore.training.learning.memory import bounded_memory
    from corrstore.training.learning.processes import chosen_device

    share = Share(process_rank(), int(os.environ["WORLD_SIZE"]) if in_process_group() else 1)
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // share.world_size))
    with bounded_memory("give a smaller --tile, or a smaller --batch"), ExitStack() as claim:
        opened, correlation = open_store(store), TemporalNoise.from_text(temporal_noise)
        selection = Selection(split, init or (), lead or (), times or (), period)
        samples = selection.samples(opened)
        box = None if region is None else region_patch(region, opened.grid("target"))
        trained = load_checkpoint(checkpoint, opened, chosen_device(device))
        sides = tile_size(trained, tile)
        levels = sampled_levels(trained)
        steps_of = SamplerConfig.over(levels, steps, sigma_min, sigma_max, eta)
        sampling = SamplingSettings(
            members, sides, tile_overlap(sides, overlap), batch, seed, steps_of, correlation, box
        )
        sampler = ForecastSampler(trained, opened, samples, sampling)
        forecast, agenda = sampler.forecast(output, form), None
        kept = Kept.from_words(keep.split(",") if keep else [], forecast.header)
        if truth is not None:  # what cannot be scored is refused before anything is written
            forecast = DrawnForecast(forecast.folder, forecast.header, sampler=sampler)
            asked = truth, output, baseline, match, regions, persistence, climatology
            agenda = make_agenda(asked_comparison(*asked, forecast), allow_training, forecast)
        if share.rank == 0:
            claim.enter_context(one_writer(forecast.folder, "", "samples"))
        forecast.create()
        beyond = steps_of.beyond(levels) if members else ""
        for said in filter(None, (other_grid(trained, opened), beyond, sampler.seams)):
            share.console.print(said, highlight=False, soft_wrap=True)
        left_out = int((selection.chosen(opened) & ~opened.valid).sum())
        chosen = f"{len(samples)} times{f' ({left_out} more are not valid)' if left_out else ''}, {members} members"
        if isinstance(forecast, DrawnForecast) and agenda is not None:
            _draw_and_score(forecast, agenda, kept, share, chosen)
        else:
            _draw(sampler, forecast, share, chosen)


class Share(NamedTuple):
    """The share of the work that is this process's; the first one tells how it goes."""

    rank: int
    world_size: int

    @property
    def console(self) -> Console:
        """The console of the first process; quiet in the others."""
        return notices if self.rank == 0 else Console(quiet=True, force_terminal=False)


def _draw(sampler: ForecastSampler, forecast: Forecast, share: Share, chosen: str) -> None:
    """Draw this process's share of the parts that are not there yet; `chosen` says what was asked for."""
    from corrstore.catalog.printing.progress import shown_progress
    from corrstore.training.forecasts.forecast import parts_of_process

    mine = parts_of_process(forecast.header.parts, share.rank, share.world_size)
    parts = [part for part in mine if not forecast.has(part)]
    share.console.print(
        f"{chosen}: {len(parts)} of {len(forecast.header.parts)} parts to sample"
        f"{'' if share.world_size == 1 else f' in process 0 of {share.world_size}'}; {_memory(sampler)}"
    )
    with shown_progress(share.console, "sampling", "parts", len(parts)) as show:
        for number, _ in enumerate(sampler.draw(forecast, parts), start=1):
            show(number, "")
    if share.world_size == 1:
        notices.print(f"wrote {forecast.folder.url}", highlight=False, soft_wrap=True)


def _draw_and_score(forecast: DrawnForecast, agenda: Agenda, kept: Kept, share: Share, chosen: str) -> None:
    """Draw and score this process's share of the agenda; the first one writes the evaluation beside the forecast."""
    import torch

    from corrstore.catalog.printing.progress import shown_progress
    from corrstore.catalog.printing.wording import size
    from corrstore.datasets.storage.folder import Folder, absolute
    from corrstore.training.evaluation.pages.files import write_evaluation
    from corrstore.training.evaluation.records.drawing import DrawnScores
    from corrstore.training.evaluation.records.records import Records, refuse_other_content

    output = Path(forecast.folder.url) / "evaluation"
    records = Records(agenda, Folder(absolute(str(output))))
    refuse_other_content(records.folder)
    scores = DrawnScores(records, forecast, kept, share.rank, share.world_size, torch.get_num_threads())
    share.console.print(
        f"{chosen}: {len(agenda.keys)} samples to score, {len(records.scores_todo)} of them now;"
        f" {_memory(forecast.sampler)}, {size(scores.memory)} for the fields of two samples"
    )
    count = len(agenda.keys) // share.world_size
    with shown_progress(share.console, "drawing and scoring", "samples", count) as show:
        scores.run(lambda done: show(done, ""))
    if share.rank == 0:
        write_evaluation(records.evaluation(), agenda, output, forecast)


def _memory(sampler: ForecastSampler) -> str:
    from corrstore.catalog.printing.wording import size

    return f"{size(sampler.memory)} on {sampler.trained.features.device} beside the networks"
