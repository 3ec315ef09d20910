"""The report: one self-contained page that describes a finished training store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from corrstore.catalog.drawing.charts import HEIGHT, WIDTH
from corrstore.catalog.drawing.figures import Figures
from corrstore.catalog.drawing.merged import Merged, explained_share, merged_statistics, most_active
from corrstore.catalog.pages.coverage import coverage
from corrstore.catalog.pages.strip import strip
from corrstore.catalog.printing import wording
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.statistics.blocks import BlockStatistics
from corrstore.datasets.storage.folder import write_file_atomically
from corrstore.datasets.store.description import describe
from corrstore.datasets.store.layout import StoredRole
from corrstore.datasets.store.ledger import REPORT
from corrstore.datasets.store.opening import Store
from corrstore.datasets.variables.channels import Channel

_HIDDEN = "(hidden)"


@dataclass(frozen=True)
class ChannelRow:
    """A row of a table of channels: the constants, and the statistics of the valid samples (None without any)."""

    channel: Channel
    transform: str
    mean: float
    std: float
    statistics: BlockStatistics | None
    storage_error: float
    residual: BlockStatistics | None
    explained: float


def write_report(store: Store, output: Path) -> None:
    """Write the page that describes a store: summary, maps of its most active sample, histograms, coverage, recipe.

    One HTML file that needs no other and names no address; it reads one sample and the ledger's tables. Raises
    BadInput where it cannot be written.
    """
    merged = merged_statistics(store)
    active = most_active(store, merged)
    figures = Figures(store, merged, active.index if active else None)
    covered = coverage(store)
    about = describe(store)
    template = page_templates().get_template("report.html.j2")
    page = template.render(
        about=about,
        synthetic="synthetic" in about["title"].lower(),
        recipe=store.recipe,
        recipe_text=recipe_text(store.recipe),
        period=store.recipe.period.interval,
        grids={role: store.grid(role) for role in ("input", "target")},
        shown=store.times[active.index] if active else None,
        shown_split=covered.split_names[active.index] if active else None,
        why=active.why if active else None,
        frame=figures.frame,
        box=(WIDTH, HEIGHT),
        targets=list(figures.targets()),
        inputs_alone=list(figures.inputs_alone()),
        statics=list(figures.statics()),
        tables={role: channel_rows(store, role, merged) for role in ("input", "target")},
        coverage=covered,
        strip=strip(store.times, parse_duration(store.recipe.period.frequency), covered),
        build=json.loads(store.folder.read(REPORT)),
    )
    write_file_atomically(output, page.encode())


def page_templates() -> jinja2.Environment:
    """The templates of pages; whatever is put into them is shown as text, never as markup."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("corrstore.catalog"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["wording"] = wording
    return environment


def channel_rows(store: Store, role: StoredRole, merged: Merged) -> list[ChannelRow]:
    """The table of the channels of `input` or `target`."""
    rows = []
    for channel, constants in zip(store.plan.channels(role), store.plan.normalisations[role], strict=True):
        counted, residual = merged.get((role, channel.name)), merged.get(("residual", channel.name))
        block = counted.statistics if counted and counted.statistics.count else None
        low, high = (block.minimum, block.maximum) if block else channel.variable.valid_range
        rows.append(
            ChannelRow(
                channel,
                constants.transform.name,
                constants.mean,
                constants.std,
                block,
                constants.error_bound(max(low, constants.transform.lowest), high, store.recipe.store.dtype),
                residual.statistics if residual else None,
                explained_share(merged, channel.name),
            )
        )
    return rows


def recipe_text(recipe: Recipe) -> str:
    """The recipe as YAML; the values of storage options, which may be secrets, are hidden."""
    content: dict[str, Any] = recipe.model_dump(mode="json", exclude_none=True)
    for source in content["sources"].values():
        source["storage_options"] = dict.fromkeys(source["storage_options"], _HIDDEN)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
