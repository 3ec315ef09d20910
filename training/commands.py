"""The commands of the models: train."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corrstore.datasets.commands import AsJson, notices, print_json, results, stop_error, stopped_by_signals

if TYPE_CHECKING:
    from corrstore.training.learning.plan import TrainingPlan
    from corrstore.training.patches.meter import Throughput

app = typer.Typer()


@app.command()
@stopped_by_signals()
def train(
    output: Annotated[Path, typer.Option(metavar="RUN", help="The run's folder, new or to be continued.")],
    store: Annotated[str | None, typer.Option(metavar="STORE", help="The training store's folder.")] = None,
    catalog: Annotated[
        str | None,
        typer.Option(metavar="CATALOG", help="The catalog in which the store is looked for, in place of --store."),
    ] = None,
    variable: Annotated[
        list[str] | None, typer.Option(metavar="CHANNEL", help="A target that the store must have; may be repeated.")
    ] = None,
    period: Annotated[
        str | None, typer.Option(metavar="START/END", help="Train on this part of the train split: 2020-06/2020-08.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Resolution of the target grid that is looked for, in degrees.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="W,S,E,N", help="Region that the target grid must contain: 100,20,120,40.")
    ] = None,
    stage: Annotated[
        str, typer.Option(help="What is trained: regression (the mean), or diffusion (the error of the mean).")
    ] = "regression",
    regression: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The regression's run, for the stage diffusion.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Begin a new run with the averaged weights of another one."),
    ] = None,
    preset: Annotated[str, typer.Option(help="The settings to start from: small, paper or demo.")] = "small",
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as patches=50000.")
    ] = None,
    device: Annotated[str, typer.Option(help="The device: cpu, cuda, cuda:1, or auto.")] = "auto",
    processes: Annotated[int, typer.Option(min=1, help="Processes on this machine, one a GPU.")] = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print parameters, memory, bytes and noise levels, and end.")
    ] = False,
    meter: Annotated[
        bool, typer.Option("--meter", help="Measure loader, step and both for a few updates, and end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on a store. A run that was stopped goes on where it was, when the command is given again.

    Example: `corrstore train --store S --preset demo --output R1`, and on top of it
    `corrstore train --store S --preset demo --stage diffusion --regression R1 --output R2`

    From a catalog: `corrstore train --catalog C --variable t2m --variable tp --period 2020-06/2020-08 --output R1`
    takes the only store that has these targets and a train split that holds the period, and stays with it whatever is
    registered later. The model learns all of that store's targets.

    On several GPUs: `corrstore train --processes 8 ...`; on several machines: `torchrun ... -m corrstore train ...`
    """
    from corrstore.training.learning.process_group import end_with_parent, in_process_group, run_in_processes

    end_with_parent()
    if processes > 1 and not (plan or meter or in_process_group()):
        run_in_processes(processes)
        return
    from corrstore.datasets.store.opening import open_store
    from corrstore.training.learning.launching import query_for, store_for
    from corrstore.training.learning.processes import chosen_device, joined_processes
    from corrstore.training.run_config import parsed_changes, run_config

    changes = parsed_changes(change or []) | ({"period": period} if period else {})
    config = run_config(stage, preset, changes)
    query = query_for(store, catalog, variable or [], config.period, resolution, region)
    url = store_for(query, output) if query else str(store)
    if plan:
        from corrstore.training.learning.plan import training_plan
        from corrstore.training.learning.trainer import planned_noise_levels

        opened = open_store(url)
        levels = planned_noise_levels(opened, config, regression)
        _print_facts(f"{stage}, {config.size}", training_plan(opened, config, levels), as_json)
        return
    from corrstore.training.learning.memory import bounded_memory
    from corrstore.training.learning.trainer import measure_throughput
    from corrstore.training.learning.trainer import train as run

    where = chosen_device(device)
    enough = bounded_memory("set a smaller micro_batch, or a smaller batch")
    if meter:
        with enough:
            found = measure_throughput(open_store(url), config, regression, where)
        _print_facts(f"{stage}, {config.size}, on {where}", found, as_json)
        return
    with enough, joined_processes(where) as group:
        opened = open_store(group.from_first(url))
        if group.is_first:
            notices.print(f"on {opened.folder.url}", highlight=False, soft_wrap=True)
        patches_seen = run(opened, config, output, regression, where, group, query=query, start=start)
    if patches_seen < config.patches:
        raise stop_error(f"stopped after {patches_seen:,} of {config.patches:,} patches; the same command continues")
    if group.is_first and as_json:
        facts = {"patches_seen": patches_seen, "patches": config.patches}
        print_json({"run": str(output), "store": opened.folder.url, "stage": stage, **facts})
    elif group.is_first:
        notices.print(f"{output}: {patches_seen:,} of {config.patches:,} patches seen", highlight=False, soft_wrap=True)


def _print_facts(title: str, found: TrainingPlan | Throughput, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    results.print(f"[bold]{title}[/bold]")
    for name, fact in found.facts.items():
        results.print(f"  {name:<28} {fact}", highlight=False)
