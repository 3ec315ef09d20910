"""The settings of a training run, and the presets that they start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import parse_period
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.storage.yaml_text import parsed_value
from corrstore.training.diffusion.edm import Loss
from corrstore.training.diffusion.levels import Distribution, NoiseLevels
from corrstore.training.networks.network import SIZES, NetworkConfig

Stage = Literal["regression", "diffusion"]
ExtraFeature = Literal["position", "static_detail"]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=8)]


class RunConfig(BaseModel):
    """The settings of a run. Lengths of time are in patches seen, over all processes: the only clock there is.

    Defaults of batch, patch and learning rate are those of NVIDIA's CorrDiff (arXiv 2309.15214, and its published
    configuration); the EMA is EDM's (arXiv 2206.00364, appendix F.2: a half-life of 500 000 with a ramp of 5 %).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage
    size: str = Field("small", description=f"size of the network: {', '.join(SIZES)}")
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="dropout of the network; null: that of its size"
    )
    extra_features: tuple[ExtraFeature, ...] = Field(
        ("position", "static_detail"),
        description="what the networks are told beside input and static fields: a pixel's position in the domain,"
        " without which they can be applied to another grid of the same channels, and what the input's grid does not"
        " show of the static fields",
    )
    patch: tuple[Side, Side] | None = Field((448, 448), description="height and width; null: the whole domain")
    period: str | None = Field(None, description="part of the train split, such as 2020-06/2020-08; null: all of it")
    patches_per_sample: Count = Field(1, description="patches drawn one after the other from a sample")
    patches: Count = Field(2_000_000, description="patches to see until the run is done")
    batch: Count = Field(256, description="patches an update, over all processes")
    micro_batch: Count = Field(16, description="patches at a time on a device, at most")
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup: Annotated[int, Field(ge=0)] = Field(100_000, description="patches over which the learning rate rises")
    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of the learning rate that the cosine decay leaves"
    )
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Annotated[float, Field(gt=0)] = Field(1.0, description="largest norm of the gradient")
    ema_half_life: Count = 500_000
    ema_ramp: Annotated[float, Field(gt=0)] = Field(0.05, description="largest half-life, as a share of patches seen")
    channel_weights: dict[str, float] = Field(
        default_factory=dict, description="weights of the loss by target channel; 1 where none is given"
    )
    loss: Loss = Field("squared", description="loss of an error: squared, huber or log-cosh")
    base: Literal["regression", "interpolation"] = Field(
        "regression", description="what a diffusion draws the error of: a regression, or the interpolated input"
    )
    predicted_outright: list[str] = Field(default_factory=list, description="targets without the residual connection")
    noise_levels: Distribution = Field("log-normal", description="distribution of the noise levels (diffusion)")
    sigma_min: Annotated[float, Field(gt=0)] | None = Field(
        None, description="lowest noise level of training and sampler; null: what the residual's spectrum needs"
    )
    sigma_max: Annotated[float, Field(gt=0)] | None = Field(
        None, description="highest noise level of training and sampler; null: what the residual's spectrum needs"
    )
    residual_scale_patches: Count = Field(
        1024, description="patches from which the residual's mean, deviation and spectrum are measured"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="precision of the network's arithmetic")
    compile: bool = False
    recompute: bool = Field(
        False, description="compute a block's activations again in the backward pass: less memory, more time"
    )
    threads: Count | None = Field(None, description="threads of PyTorch on the CPU; sums depend on their number")
    seed: Annotated[int, Field(ge=0)] = 0
    prefetch: Count = Field(2, description="micro-batches that are read ahead")
    save_every: Count = Field(50_000, description="patches between two checkpoints")
    validate_every: Count = 50_000
    validation_patches: Count = 256
    validation_members: Annotated[int, Field(ge=2)] = Field(
        4, description="members of the ensemble in validation (diffusion)"
    )
    validation_steps: Annotated[int, Field(ge=2)] | None = Field(
        None, description="steps of the sampler in validation (diffusion); null: what the noise levels need"
    )

    @field_validator("period", mode="before")
    @classmethod
    def _to_the_second(cls, value: object) -> str | None:
        if value is None:
            return None
        period = parse_period(str(value))
        return f"{period.start}/{period.end}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.size not in SIZES:
            raise BadInput(f"unknown network size {self.size!r}; choose one of {', '.join(SIZES)}")
        if self.patch and any(side % self.stride for side in self.patch):
            fits = [max(self.stride, side - side % self.stride) for side in self.patch]
            raise BadInput(
                f"patch {self.patch[0]} x {self.patch[1]} does not fit a network of the size {self.size!r}: height and"
                f" width must be divisible by {self.stride}; give --set patch=[{fits[0]},{fits[1]}]"
            )
        return self

    @property
    def stride(self) -> int:
        """The number that the network needs height and width to be divisible by."""
        return NetworkConfig.from_size(self.size, 1, 1, noise_conditioned=False).stride

    def for_processes(self, count: int) -> RunConfig:
        """Return these settings with a batch that `count` processes can share, and a micro_batch that divides a share.

        Each is the largest that is at most the one given, but for a batch of fewer patches than processes: then each
        has one. So neither needs more memory.
        """
        share = max(1, self.batch // count)
        fits = next(size for size in range(min(self.micro_batch, share), 0, -1) if share % size == 0)
        return self.model_copy(update={"batch": share * count, "micro_batch": fits})

    def fitted_from(self, asked: RunConfig, count: int) -> list[str]:
        """Return a line for each of batch and micro_batch that is not the one asked for.

        A micro_batch of less than half of that is said with a better batch.
        """
        said = []
        if self.batch != asked.batch:
            said = [f"batch is {self.batch}, not {asked.batch}: it must be a multiple of the {count} processes"]
        return said if self.micro_batch == asked.micro_batch else [*said, self._said_of_micro_batch(asked, count)]

    def _said_of_micro_batch(self, asked: RunConfig, count: int) -> str:
        share = self.batch // count
        line = (
            f"micro_batch is {self.micro_batch}, not {asked.micro_batch}: it must divide the {share} patches of an"
            " update in each process"
        )
        if 2 * self.micro_batch >= min(asked.micro_batch, share):
            return line
        whole = count * asked.micro_batch
        return f"{line}; batch={max(1, round(self.batch / whole)) * whole} would let it be {asked.micro_batch}"

    def levels(self, measured: NoiseLevels) -> NoiseLevels:
        """Return the noise levels: those that were measured, but for the ends and the distribution that are set."""
        return NoiseLevels(
            measured.sigma_min if self.sigma_min is None else self.sigma_min,
            measured.sigma_max if self.sigma_max is None else self.sigma_max,
            self.noise_levels,
        )

    def weights(self, targets: list[str]) -> list[float]:
        """Return the loss's weights in the order of the targets; raise BadInput for a channel that is not a target."""
        unknown = sorted(set(self.channel_weights) - set(targets))
        if unknown:
            raise BadInput(f"channel_weights names {', '.join(unknown)}, but the targets are {', '.join(targets)}")
        return [self.channel_weights.get(name, 1.0) for name in targets]


CHANGEABLE_SETTINGS = frozenset({"micro_batch", "compile", "recompute", "threads", "prefetch", "save_every"})
"""Settings that a resumed run may change: they change its speed, and its weights only by rounding."""

PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "paper": {
        "size": "paper",
        "patches": 30_000_000,
        "micro_batch": 4,
        "warmup": 1_000_000,
        "precision": "bfloat16",
        "compile": True,
    },
    "demo": {
        "size": "tiny",
        "dropout": 0.1,
        "patch": (64, 64),
        "patches": 3_000,
        "batch": 4,
        "micro_batch": 4,
        "learning_rate": 2e-3,
        "warmup": 160,
        "ema_half_life": 400,
        "residual_scale_patches": 64,
        "threads": 1,
        "save_every": 1_200,
        "validate_every": 1_500,
        "validation_patches": 8,
        "validation_members": 2,
    },
}
"""Presets, as differences from the defaults: `small` for one GPU, `paper` for many, `demo` for a laptop."""


STAGE_PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    ("demo", "diffusion"): {
        "patches": 1_200,
        "noise_levels": "log-uniform",
        "dropout": 0.0,
        "batch": 8,
        "micro_batch": 8,
        "learning_rate": 1e-3,
        "warmup": 320,
        "residual_scale_patches": 256,
        "validation_patches": 16,
    },
}
"""Presets of a stage, as differences from the preset."""


def run_config(stage: str, preset: str = "small", changes: Mapping[str, Any] | None = None) -> RunConfig:
    """Return the preset's settings with these changes; raise BadInput, one line a mistake, with key, value and rule."""
    if preset not in PRESETS:
        raise BadInput(f"unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    content = {"stage": stage, **PRESETS[preset], **STAGE_PRESETS.get((preset, stage), {}), **(changes or {})}
    return validated(
        RunConfig, content, "these settings are not valid", f"there are {', '.join(RunConfig.model_fields)}"
    )


def parsed_changes(texts: list[str]) -> dict[str, Any]:
    """Return `key=value` texts as settings, the value read as YAML; raise BadInput for another form."""
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadInput(f"--set {text!r} is not of the form key=value")
        changes[key] = parsed_value(value, f"--set {text!r}")
    return changes
