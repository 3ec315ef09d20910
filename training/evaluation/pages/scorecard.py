"""The scorecard: what a predictor gains over another by channel and lead; and the verdict in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corrstore.catalog.printing.wording import number
from corrstore.training.evaluation.groups import ALL
from corrstore.training.evaluation.predictors.names import CORRECTED, ENSEMBLE, REGRESSION, WHITE
from corrstore.training.evaluation.results import Evaluation, Gain
from corrstore.training.evaluation.uncertainty import reservation

_FULL_COLOUR = 0.4  # the gain that has the whole colour


class Card(NamedTuple):
    """Gains of `predictor` over `reference`: for each channel one a lead, None where one of the two is not there."""

    predictor: str
    reference: str
    leads: list[str]
    rows: list[tuple[str, list[Gain | None]]]


def best_predictor(evaluation: Evaluation) -> str:
    """Return the forecast that is judged: the ensemble or, without one, the regression."""
    return ENSEMBLE if any(name == ENSEMBLE for _, name in evaluation.tallies) else REGRESSION


def cards(evaluation: Evaluation) -> list[Card]:
    """Return the cards of the forecast's CRPS: over baselines, the corrected input, regression and noise."""
    judged = best_predictor(evaluation)
    references = [*evaluation.baselines, evaluation.reference, CORRECTED, REGRESSION, WHITE]
    leads = evaluation.leads or [ALL]
    found = []
    for reference in dict.fromkeys(each for each in references if each != judged):
        gains = {(each.channel, each.lead): each for each in evaluation.gains(judged, reference)}
        if gains:
            rows = [(each.name, [gains.get((each.name, lead)) for lead in leads]) for each in evaluation.channels]
            found.append(Card(judged, reference, leads, rows))
    return found


def colour(gain: Gain | None) -> str:
    """Return the background of a cell: the colour of the target for a gain, of a mark for a loss, by its size."""
    if gain is None or not np.isfinite(gain.value):
        return "var(--well)"
    share = round(min(abs(gain.value) / _FULL_COLOUR, 1.0) * 45)
    return f"color-mix(in srgb, var(--{'target' if gain.value > 0 else 'mark'}) {share}%, var(--card))"


def verdict(evaluation: Evaluation, found: list[Card]) -> list[str]:
    """Return sentences: what is better than what, by how much, how sure."""
    said = []
    known = [each.effective for card in found for _, row in card.rows for each in row if each is not None]
    least = float(np.nanmin(known)) if np.isfinite(known).any() else np.nan
    if reserved := reservation(least, len(set(evaluation.clusters)), evaluation.unit):
        said.append(f"Not sure: {reserved}.")
    for card in found:
        gains = [each for _, row in card.rows for each in row if each is not None and not np.isnan(each.value)]
        if not gains:
            continue
        better = [each for each in gains if each.value > 0]
        sure = sum(each.significant for each in gains)
        median = float(np.median([each.value for each in gains]))
        size = f"{number(100 * abs(median), 2)} % {'lower' if median > 0 else 'higher'}" if median else "the same"
        said.append(
            f"The CRPS of the {card.predictor} is lower than that of {card.reference} in {len(better)} of {len(gains)}"
            f" {evaluation.pairs}, in the median {size}; {sure or 'none'} of the differences"
            f" {'is' if sure < 2 else 'are'} significant."
        )
        if lost := crossing(card):
            said.append(f"Lower than {card.reference} at the first lead, but not at a later one: {', '.join(lost)}.")
    return said


def crossing(card: Card) -> list[str]:
    """Return for each channel that gains at the first lead the first lead at which it does not any more."""
    found = []
    for channel, row in card.rows:
        known = [(lead, each.value) for lead, each in zip(card.leads, row, strict=True) if each is not None]
        if known and known[0][1] > 0 and (later := next((lead for lead, value in known if value <= 0), None)):
            found.append(f"{channel} at {later}")
    return found
