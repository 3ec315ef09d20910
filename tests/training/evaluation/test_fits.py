"""What is fitted on other samples: in few records however many samples there are, and without the sample itself."""

from __future__ import annotations

import numpy as np
import pytest

from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.records import write_task_record
from corrstore.training.evaluation.agenda import Agenda
from corrstore.training.evaluation.predictors.comparison import Comparison
from corrstore.training.evaluation.predictors.fits import INPUT_ERROR, RESIDUAL, Fit, block_record, totals
from corrstore.training.evaluation.sums import SumsRecord, read_sums

KEYS = {name: ("", "t2m", "", name) for name in (INPUT_ERROR, RESIDUAL)}


def agenda_of(runs, leads, fitted=True):
    """The agenda of so many runs and leads."""
    samples = [(run, lead) for run in range(runs) for lead in range(leads)]
    keys, groups = ([f"{run:03d}_{lead:02d}" for run, lead in samples], [f"{lead} hours" for _, lead in samples])
    return Agenda(Comparison("t", "f", fitted=fitted), list(range(len(keys))), keys, groups, 0, [])


@pytest.mark.parametrize(("runs", "leads", "most"), [(62, 24, 24 * 4), (2, 3, 6), (240, 1, 60), (2208, 1, 138)])
def test_blocks_hold_each_sample_once_and_are_few(runs, leads, most):
    agenda = agenda_of(runs, leads)
    blocks = agenda.blocks
    assert len(blocks) <= most and len({block.name for block in blocks}) == len(blocks)
    assert sorted(index for block in blocks for index in block.indices) == agenda.positions
    assert all({agenda.groups[index] for index in block.indices} == {block.group} for block in blocks)
    assert max(len(block.indices) for block in blocks) <= 16
    assert agenda_of(runs, leads, fitted=False).blocks == []


def test_a_fit_is_the_mean_of_the_other_samples_whatever_the_blocks():
    rng = np.random.default_rng(0)
    errors, residuals = rng.normal(3, 2, (12, 5, 6)), rng.normal(0.1, 1, (12, 30))
    samples = [
        {KEYS[INPUT_ERROR]: np.stack([np.full((5, 6), 4.0), 4 * error]), KEYS[RESIDUAL]: sums}
        for error, residual in zip(errors, residuals, strict=True)
        for sums in [np.array([residual.size, residual.sum(), np.square(residual).sum()])]
    ]
    for size in (1, 5, 12):
        records = [block_record("block", samples[start : start + size]) for start in range(0, 12, size)]
        fit = Fit(totals(each.sums for each in records), samples[7])
        others = np.arange(12) != 7
        np.testing.assert_allclose(fit.input_error("t2m"), errors[others].mean(axis=0), rtol=1e-6)
        assert fit.residual("t2m") == pytest.approx((residuals[others].mean(), residuals[others].std()), rel=1e-9)
    assert Fit(totals([samples[7]]), samples[7]).input_error("t2m") is None


def test_the_records_of_a_month_of_the_paper_are_bounded():
    """62 runs of 24 leads, and 23 channels of 200 x 296 cells with the halo: below 1.5 GB."""
    rng, shape = np.random.default_rng(1), (200, 296)
    sums = np.stack([np.full(shape, 70.0 * 16), rng.normal(0, 70, shape)])
    record = block_record("block", [{KEYS[INPUT_ERROR]: sums}])
    whole = SumsRecord("total", totals([record.sums] * 4))
    blocks, leads = len(agenda_of(62, 24).blocks), 24
    assert 23 * (blocks * len(record.to_bytes()) + leads * len(whole.to_bytes())) < 1.5e9


def test_a_record_comes_back_as_it_was(tmp_path):
    sums = {("all", "t2m", "", "a"): np.arange(6.0).reshape(1, 2, 3), ("", "tp", "", "b"): np.zeros((1, 0, 4))}
    folder = Folder(str(tmp_path))
    write_task_record(folder, SumsRecord("one", sums), "records")
    found = read_sums(folder, "records", "one").sums
    assert found.keys() == sums.keys()
    for key in sums:
        np.testing.assert_array_equal(found[key], sums[key])
        assert found[key].shape == sums[key].shape
