"""How sure a score is: its interval, p-values and effective samples, for units that are alike where they are near.

A unit is a valid time, or a run with the sums over its leads. docs/evaluation.md, "How sure", has the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""A function of how often each unit counts [row, unit] that returns scores [row, ...]: ratios of weighted sums."""

LEAST_UNITS = 8
"""Fewest units for which there is an interval."""
FEW = 30
"""Number of effective samples below which `reservation` says so."""
CAUTION = (
    f"with the effective samples behind it in brackets where they are fewer than {FEW}; of fewer than {FEW // 3} it may"
    f" be too narrow, and of fewer than {LEAST_UNITS} units there is none"
)
"""What a page says of its intervals."""
_BLOCKS = 2.5  # lengths that make the standard error best; an interval needs less bias than that
_ROWS = 512


class Estimate(NamedTuple):
    """Scores [...], the ends of their intervals, p-values of "the true score is 0", and effective samples.

    The interval holds 0 where p is above 1 - confidence. All but `value` are NaN where there is no interval.
    """

    value: Floats
    low: Floats
    high: Floats
    p: Floats
    effective: Floats


def estimated(statistic: Statistic, units: int, block: int | None = None, confidence: float = 0.95) -> Estimate:
    """Return what `statistic` makes of all the units, and how sure that is.

    `units` is their number; they follow one another in time. `block` is the length of a block in units, by default of
    each score's own autocorrelation. Differences and skills are statistics too: so all predictors are resampled alike.

    The standard error is that of the circular block bootstrap (Politis and Romano 1992) of the jackknife's
    pseudo-values (Efron and Stein 1981, Ann. Statist. 9, 586), in closed form: that of infinitely many resamples.
    Blocks of two and a half times the length of Politis and White make its bias small beside its noise (Sun, Phillips
    and Jin 2008, Econometrica 76, 175). What is left of the bias is divided out as for a first-order autoregression,
    and the quantile is Student's, with the degrees of freedom of Bartlett's kernel (Priestley 1981, table 6.1).
    """
    whole = np.ones((1, units))
    value = statistic(whole)[0]
    if units < LEAST_UNITS:
        return Estimate(value, *(np.full_like(value, np.nan) for _ in range(4)))
    rows = (np.arange(start, min(start + _ROWS, units)) for start in range(0, units, _ROWS))
    without = np.concatenate([statistic(1.0 - (each[:, None] == np.arange(units))) for each in rows])
    carrying = np.sum(~np.isclose(without, value, rtol=1e-13, atol=0), axis=0).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        series = (units * value - (units - 1) * without).reshape(units, -1)
        r, best = _lag_1(series), _best_lengths(series)
        lengths = np.rint(_BLOCKS * best).astype(int) if block is None else np.full(r.size, block)
        lengths = np.clip(lengths, 1, units // 2)
        variance = _block_variance(series, lengths) / _kept(units, lengths, r)
        error = np.sqrt(variance)
        effective = np.minimum(series.var(axis=0) / variance + 1, carrying)
        freedom = np.minimum(1.5 * units / lengths, units) - 1
        half = stdtrit(freedom, (1 + confidence) / 2) * error
        p = 2 * stdtr(freedom, -np.abs(value.ravel() / error))
    half, p, effective = (each.reshape(value.shape) for each in (half, p, effective))
    return Estimate(value, value - half, value + half, p, effective)


def skill(scores: Floats, baseline: int, perfect: float = 0.0) -> Floats:
    """Return the skill of scores [row, predictor, ...] against one of the predictors: 1 is perfect, 0 no gain."""
    reference = scores[:, baseline : baseline + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (scores - reference) / (perfect - reference)


def significant(p: Floats, rate: float = 0.05) -> NDArray[np.bool_]:
    """Return which p-values of a family [...] are significant at a false discovery rate; those that are NaN are not.

    Benjamini and Hochberg 1995, J. R. Statist. Soc. B 57, 289; it holds for scores that depend on each other as leads
    and channels do (Wilks 2016, Bull. Amer. Meteor. Soc. 97, 2263).
    """
    known = np.sort(p[np.isfinite(p)])
    passed = known[known <= rate * np.arange(1, known.size + 1) / max(known.size, 1)]
    return p <= passed[-1] if passed.size else np.zeros(p.shape, np.bool_)


def reservation(effective: float, units: int, unit: str) -> str:
    """Return what has to be said beside an interval of so many effective samples and units; nothing of enough."""
    if units < LEAST_UNITS:
        return f"{units} {unit}{'s are' if units != 1 else ' is'} too few for an interval; it needs {LEAST_UNITS}"
    if not effective < FEW:
        return ""
    count = round(max(effective, 1))
    text = f"only about {count} effective {unit}{'s' if count != 1 else ''} of {units}, because near ones are alike"
    return text + ("; the interval may be too narrow" if effective < FEW / 3 else "")


def block_of_days(times: NDArray[np.datetime64], days: float) -> int:
    """Return the number of units in so many days, by the usual step between their ascending times; at least 1."""
    if len(times) < 2:
        return 1
    step = np.median(np.diff(times).astype("timedelta64[s]").astype(np.int64))
    return max(1, round(days * 86400 / float(step)))


def block_lengths(series: Floats) -> Floats:
    """Return the best block length of the circular bootstrap of each mean, [unit, ...] to [...], in units.

    Politis and White 2004, Econometric Reviews 23, 53, as corrected by Patton, Politis and White 2009, ibid. 28, 372.
    """
    units = len(series)
    covariance = _autocovariance(series.reshape(units, -1))
    alike = max(5, math.ceil(math.sqrt(math.log10(units))))
    longest = min(math.ceil(math.sqrt(units)) + alike, units - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(units) / units)
        quiet = np.array([small[first : first + alike].all(axis=0) for first in range(longest - alike)])
        lag = np.where(quiet.any(axis=0), quiet.argmax(axis=0) + 1, longest)
        width = np.minimum(2 * lag, longest)
        lags = np.arange(1, units)[:, None]
        weighted = np.clip(2 * (1 - lags / width), 0, 1) * covariance[1:]
        spectrum, slope = covariance[0] + 2 * weighted.sum(axis=0), 2 * (lags * weighted).sum(axis=0)
        length = np.cbrt(1.5 * (slope / spectrum) ** 2 * units)
    most = math.ceil(min(3 * math.sqrt(units), units / 3))
    return np.clip(np.nan_to_num(length, nan=1.0), 1.0, most).reshape(series.shape[1:])


def _best_lengths(series: Floats) -> Floats:
    """The best block lengths, at least those of a first-order autoregression of the same lag-1 autocorrelation."""
    r = _lag_1(series)
    return np.fmax(block_lengths(series), np.cbrt(1.5 * (2 * r / (1 - r * r)) ** 2 * len(series)))


def _lag_1(series: Floats) -> Floats:
    """The lag-1 autocorrelation, 0 to 0.99, less the bias of short series (Marriott and Pope 1954, Biometrika 41)."""
    units, deviation = len(series), series - series.mean(axis=0)
    r = (deviation[1:] * deviation[:-1]).sum(axis=0) / (deviation**2).sum(axis=0)
    return np.clip(np.nan_to_num((units * r + 1) / (units - 3)), 0.0, 0.99)


def _block_variance(series: Floats, lengths: NDArray[np.int_]) -> Floats:
    """The variance of the mean by circular blocks of these lengths, [unit, series] and [series] to [series]."""
    units, found = len(series), np.empty(lengths.size)
    deviation = series - series.mean(axis=0)
    sums = np.cumsum(np.concatenate([np.zeros((1, lengths.size)), deviation, deviation]), axis=0)
    for length in np.unique(lengths):
        these = lengths == length
        blocks = sums[length : length + units, these] - sums[:units, these]
        found[these] = (blocks**2).mean(axis=0) / (length * units)
    return found


def _kept(units: int, lengths: NDArray[np.int_], r: Floats) -> Floats:
    """The share of the mean's variance that `_block_variance` has of a first-order autoregression."""

    def variance(n: int | NDArray[np.int_]) -> Floats:  # n times that of the mean of n, over the limit's
        return np.asarray(1 - 2 * r * (1 - r**n) / (n * (1 - r * r)))

    return np.asarray(variance(lengths) / variance(units) - lengths / units)


def _autocovariance(series: Floats) -> Floats:
    units, deviation = len(series), series - series.mean(axis=0)
    power = np.abs(np.fft.rfft(deviation, 2 * units, axis=0)) ** 2
    return np.asarray(np.fft.irfft(power, 2 * units, axis=0)[:units] / units)
