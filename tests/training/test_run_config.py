"""Settings of a run: presets, changes on the command line, and refusals by name."""

from __future__ import annotations

import pytest

from corrstore.datasets.errors import BadInput
from corrstore.training.run_config import PRESETS, parsed_changes, run_config


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("stage", ["regression", "diffusion"])
def test_presets_are_valid(preset, stage):
    assert run_config(stage, preset).stage == stage


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "huge"}, "unknown network size 'huge'; choose one of tiny"),
        ({"learnig_rate": 1}, "learnig_rate: no such key; .*there are stage"),
        ({"patches": 0}, "patches: expected 1 or more, got 0"),
        ({"precision": "float8"}, "precision: .*'float8'"),
        ({"patch": [64]}, r"patch.1: is missing in \[64\]"),
        ({"patch": [20, 16]}, r"patch 20 x 16 does not fit .* 'tiny': .*by 8; give --set patch=\[16,16\]"),
    ],
)
def test_a_wrong_setting_is_named(changes, message):
    with pytest.raises(BadInput, match=message):
        run_config("regression", "demo", changes)


def test_settings_are_read_from_the_command_line():
    found = parsed_changes(["patch=[16, 24]", "compile=true", "channel_weights={t2m: 2}", "learning_rate=1.0e-3"])
    assert found == {"patch": [16, 24], "compile": True, "channel_weights": {"t2m": 2}, "learning_rate": 1e-3}
    with pytest.raises(BadInput, match="'patch' is not of the form key=value"):
        parsed_changes(["patch"])
