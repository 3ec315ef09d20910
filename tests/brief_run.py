"""The settings of a training run that takes a second, beside the preset `demo`."""

from __future__ import annotations

BRIEF_RUN = {
    "patch": (16, 16),
    "batch": 8,
    "micro_batch": 4,
    "warmup": 8,
    "residual_scale_patches": 8,
    "validation_patches": 4,
    "validation_members": 2,
    "validation_steps": 2,
    "threads": 1,
}
