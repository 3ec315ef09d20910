"""The U-Net, and the regression on top of interpolation."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.signal import correlate2d
from scipy.stats import norm
from torch import nn

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.diffusion.edm import Denoiser, edm_loss
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.networks.layers import Attention, NoiseEmbedding, ResidualBlock
from corrstore.training.networks.network import NetworkConfig, UNet
from corrstore.training.networks.regression import (
    LARGEST,
    Connection,
    GlobalResidual,
    Regression,
    connections,
    normal_crps,
)


def unet(in_channels=3, out_channels=2, *, noise_conditioned=False, **changes):
    torch.manual_seed(0)
    config = NetworkConfig.from_size("tiny", in_channels, out_channels, noise_conditioned=noise_conditioned)
    return UNet(replace(config, **{"multipliers": (1, 2), "attention_levels": (1,)} | changes))


def awake(module):
    """The module with no layer that starts at zero or nearly so, as after training."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.uniform_(layer.bias, -0.1, 0.1)
    return module


def parameters(size, **channels):
    with torch.device("meta"):
        network = UNet(NetworkConfig.from_size(size, **channels, noise_conditioned=True))
    return sum(each.numel() for each in network.parameters())


def test_the_papers_size_has_the_80_million_parameters_that_the_paper_states():
    assert parameters("paper", in_channels=24, out_channels=4) == pytest.approx(80e6, rel=0.01)


def test_activations_that_are_computed_again_give_the_same_gradients_with_the_same_dropout():
    def gradients(recompute):
        network = awake(unet(noise_conditioned=True, dropout=0.3))
        network.recompute = recompute
        torch.manual_seed(1)
        network(torch.randn(2, 3, 8, 8), torch.tensor([0.1, 0.2])).square().mean().backward()
        return [each.grad for each in network.parameters()]

    for kept, again in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(again, kept)


class OneConvolution(nn.Module):
    """A network that is no U-Net, with what the protocol asks for."""

    stride = 1

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.all = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x, c_noise=None):
        return self.all(x)


def test_another_network_stands_in_the_place_of_the_unet_in_both_models():
    torch.manual_seed(0)
    condition, residual = torch.randn(4, 3, 9, 7), torch.randn(4, 2, 9, 7)
    regression = Regression(OneConvolution(3, 4), [None, Connection(0, 1.0, 0.0)])
    predicted = regression(condition)
    assert predicted.mean.shape == predicted.spread.shape == residual.shape
    denoiser = Denoiser(OneConvolution(2 + 3, 2))
    levels, generators = NoiseLevels(0.01, 10.0), [torch.Generator().manual_seed(n) for n in range(4)]
    optimiser = torch.optim.Adam(denoiser.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = edm_loss(denoiser, residual, condition, generators, levels=levels, sigma_data=denoiser.sigma_data).mean
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_tiny_has_about_a_hundred_thousand_parameters():
    assert parameters("tiny", in_channels=8, out_channels=4) == pytest.approx(110e3, rel=0.1)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 20), (4, 36)])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_fields_of_any_size_that_the_strides_divide_keep_their_size(height, width, levels):
    network = unet(multipliers=(1, 2, 2)[:levels], attention_levels=(levels - 1,))
    assert network(torch.randn(2, 3, height, width)).shape == (2, 2, height, width)


def test_a_size_that_the_strides_do_not_divide_is_refused_with_the_sizes():
    network = unet(multipliers=(1, 2, 2), attention_levels=())
    with pytest.raises(BadInput, match=r"18 x 20.*3 levels.*divisible by 4.*16 x 20"):
        network(torch.randn(1, 3, 18, 20))


def test_the_wrong_number_of_channels_is_refused():
    with pytest.raises(BadInput, match="takes 3 channels, but was given 4"):
        unet()(torch.randn(1, 4, 8, 8))


def test_a_noise_level_is_asked_for_exactly_where_the_network_is_conditioned_on_it():
    x, c_noise = torch.randn(1, 3, 8, 8), torch.zeros(1)
    with pytest.raises(BadInput, match="noise_conditioned=True"):
        unet(noise_conditioned=True)(x)
    with pytest.raises(BadInput, match="noise_conditioned=False"):
        unet()(x, c_noise)


@pytest.mark.parametrize("change", [{"width": 10}, {"attention_levels": (2,)}])
def test_a_shape_that_cannot_be_is_refused(change):
    with pytest.raises(BadInput, match="network"):
        unet(**change)


def test_an_unknown_size_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match=r"'huge'.*tiny, small, paper"):
        NetworkConfig.from_size("huge", 1, 1, noise_conditioned=False)


def test_the_output_depends_on_each_samples_own_noise_level():
    network = awake(unet(noise_conditioned=True)).eval()
    x = torch.randn(1, 3, 8, 8).expand(2, -1, -1, -1)
    low, high = network(x, torch.tensor([-1.0, 1.0]))
    assert (low - high).abs().max() > 1e-3
    torch.testing.assert_close(network(x, torch.tensor([1.0]))[0], high, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_every_parameter():
    network = awake(unet(noise_conditioned=True))
    network(torch.randn(2, 3, 8, 8), torch.tensor([0.1, 0.5])).square().mean().backward()
    without = [name for name, each in network.named_parameters() if not each.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize(("levels", "modules"), [((), 0), ((0,), 2), ((1,), 3), ((0, 1), 5)])
def test_attention_is_where_its_levels_say(levels, modules):
    """A level of one block has it once on each way; the deepest also in the middle."""
    assert sum(isinstance(each, Attention) for each in unet(attention_levels=levels).modules()) == modules


def convolved(layer, field):
    """The convolution of a field (channels, height, width), by SciPy."""
    kernels, bias = (each.detach().numpy() for each in (layer.weight, layer.bias))
    return np.array(
        [
            sum(correlate2d(plane, kernel, "same") for plane, kernel in zip(field, each, strict=True)) + offset
            for each, offset in zip(kernels, bias, strict=True)
        ]
    )


def normalised(field, groups):
    """The group norm of a field, with weight 1 and bias 0."""
    parts = field.reshape(groups, -1)
    centred = parts - parts.mean(axis=1, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)).reshape(field.shape)


def silu(x):
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("resample", "resampled"),
    [
        (None, lambda field: field),
        ("down", lambda field: field.reshape(8, 2, 2, 3, 2).mean(axis=(2, 4))),
        ("up", lambda field: field.repeat(2, axis=1).repeat(2, axis=2)),
    ],
)
def test_a_residual_block_is_the_papers(resample, resampled):
    """8 channels, so 2 groups, to 12, so 3 groups; the branch and the skip are resampled alike."""
    torch.manual_seed(0)
    block = awake(ResidualBlock(8, 12, embedding_features=5, dropout=0.0, resample=resample)).double()
    x, embedding = (torch.randn(*shape, dtype=torch.float64) for shape in ((1, 8, 4, 6), (1, 5)))
    branch = convolved(block.conv1, resampled(silu(normalised(x[0].numpy(), 2))))
    branch += block.embed(embedding)[0].detach().numpy()[:, None, None]
    branch = convolved(block.conv2, silu(normalised(branch, 3)))
    expected = (convolved(block.skip, resampled(x[0].numpy())) + branch) / math.sqrt(2)
    np.testing.assert_allclose(block(x, embedding)[0].detach().numpy(), expected, atol=1e-12)


def test_attention_is_softmax_attention():
    torch.manual_seed(0)
    layer = awake(Attention(8)).double()
    x = torch.randn(1, 8, 3, 5, dtype=torch.float64)
    pixels = layer.norm(x).detach().numpy().reshape(8, 15)
    query, key, value = np.split(convolved(layer.query_key_value, pixels[:, :, None])[..., 0], 3)
    scores = np.exp(query.T @ key / math.sqrt(8))
    mixed = value @ (scores / scores.sum(axis=1, keepdims=True)).T
    expected = (x.numpy().reshape(8, 15) + convolved(layer.project, mixed[:, :, None])[..., 0]) / math.sqrt(2)
    np.testing.assert_allclose(layer(x).detach().numpy().reshape(8, 15), expected, atol=1e-12)


def test_noise_embedding_starts_from_sines_and_cosines_whose_frequency_falls_to_a_ten_thousandth():
    torch.manual_seed(0)
    layer, c_noise = awake(NoiseEmbedding(4, 6)).double(), 0.7
    features = np.array([math.sin(c_noise), math.sin(c_noise / 1e4), math.cos(c_noise), math.cos(c_noise / 1e4)])
    for dense in (layer.dense1, layer.dense2):
        features = silu(dense.weight.detach().numpy() @ features + dense.bias.detach().numpy())
    answer = layer(torch.tensor([c_noise], dtype=torch.float64))[0]
    np.testing.assert_allclose(answer.detach().numpy(), features, rtol=1e-5)


def test_channels_last_and_bf16_autocast_give_the_same_to_their_precision():
    network = awake(unet()).eval()
    x = torch.randn(2, 3, 16, 24)
    expected = network(x)
    last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(x)
    assert (half.float() - expected).abs().max() < 0.05 * expected.abs().max()


INDUCTOR = pytest.param(
    "inductor",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on the CPU"),
    ],
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["eager", INDUCTOR])
def test_the_network_compiles_as_one_graph(backend):
    network = awake(unet(noise_conditioned=True)).eval()
    x, c_noise = torch.randn(2, 3, 8, 12), torch.tensor([0.1, 0.5])
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(x, c_noise), network(x, c_noise), rtol=1e-4, atol=1e-5)


INPUTS = {
    "z_500": Normalisation("identity", 54000.0, 3000.0),
    "t2m": Normalisation("identity", 280.0, 20.0),
    "tp": Normalisation("log1p", 0.1, 0.5),
    "q2m": Normalisation("log1p", 0.01, 0.02),
}
TARGETS = {
    "t2m": Normalisation("identity", 275.0, 25.0),
    "refc": Normalisation("identity", 5.0, 10.0),
    "tp": Normalisation("log1p", 0.2, 0.4),
    "q2m": Normalisation("identity", 0.01, 0.02),
}


def test_a_target_is_connected_to_the_input_of_its_name_and_transform_alone():
    assert [each and each.residual_from for each in connections(INPUTS, TARGETS)] == [1, None, 2, None]


def test_a_connection_can_be_switched_off_by_channel():
    assert [each and each.residual_from for each in connections(INPUTS, TARGETS, without=["tp"])] == [
        1,
        None,
        None,
        None,
    ]
    with pytest.raises(BadInput, match=r"z_500.*not among the targets t2m, refc, tp, q2m"):
        connections(INPUTS, TARGETS, without=["z_500"])


def test_the_connection_carries_physical_values_from_the_inputs_units_to_the_targets():
    kelvin, rain = 291.3, 7.0
    condition = torch.zeros(1, 4, 1, 1)
    condition[0, 1] = (kelvin - 280.0) / 20.0
    condition[0, 2] = (math.log1p(rain) - 0.1) / 0.5
    t2m, refc, tp, q2m = GlobalResidual(connections(INPUTS, TARGETS))(condition).flatten().tolist()
    assert t2m * 25.0 + 275.0 == pytest.approx(kelvin, rel=1e-6)
    assert math.expm1(tp * 0.4 + 0.2) == pytest.approx(rain, rel=1e-6)
    assert (refc, q2m) == (0, 0)


def test_an_untrained_regression_is_plain_interpolation_and_can_leave_it():
    torch.manual_seed(0)
    links = connections(INPUTS, TARGETS)
    model = Regression(unet(in_channels=6, out_channels=8), links)
    condition = torch.randn(2, 6, 8, 12)
    assert torch.equal(model(condition).mean, GlobalResidual(links)(condition))
    assert not model(condition).log_spread.any()

    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (model(condition).mean - 1).square().mean().backward()
        optimiser.step()
    assert not torch.equal(model(condition).mean, GlobalResidual(links)(condition))


def test_connections_travel_in_the_models_state_and_must_match_its_channels():
    model = Regression(unet(in_channels=6, out_channels=8), connections(INPUTS, TARGETS))
    other = Regression(unet(in_channels=6, out_channels=8), [None] * 4)
    other.load_state_dict(model.state_dict())
    condition = torch.randn(1, 6, 8, 8)
    assert all(map(torch.equal, other(condition), model(condition)))
    with pytest.raises(BadInput, match="has 8 output channels, two for each target, but was given 3 connections"):
        Regression(unet(in_channels=6, out_channels=8), [None] * 3)


def test_the_linear_function_of_the_condition_adds_to_the_mean_and_the_spread_stays_in_its_bounds():
    model = Regression(unet(in_channels=3, out_channels=2), [None])
    condition = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        model.linear.weight[0, :, 0, 0] = torch.tensor([1.0, -2.0, 0.5])
        model.network.last.bias += torch.tensor([0.25, 50.0])
    found = model(condition)
    expected = condition[:, 0] - 2 * condition[:, 1] + 0.5 * condition[:, 2] + 0.25
    torch.testing.assert_close(found.mean[:, 0], expected, rtol=1e-5, atol=1e-5)
    assert (found.log_spread == LARGEST).all()


@pytest.mark.parametrize(("error", "spread"), [(0.0, 1.0), (-0.7, 0.3), (3.0, 0.5), (0.2, 4.0)])
def test_the_crps_of_a_normal_distribution_is_the_integral_that_defines_it(error, spread):
    """The squared distance of the distribution, of mean `error`, from a step at 0."""
    below, _ = quad(lambda y: norm.cdf(y, error, spread) ** 2, -40, 0, points=[error - spread], limit=200)
    above, _ = quad(lambda y: norm.sf(y, error, spread) ** 2, 0, 40, points=[error + spread], limit=200)
    found = normal_crps(torch.tensor(error).double(), torch.tensor(spread).double())
    assert float(found) == pytest.approx(below + above, rel=1e-6)


def test_the_spread_with_the_least_crps_is_the_errors_standard_deviation():
    spread = torch.tensor([0.1, 3.0], dtype=torch.float64, requires_grad=True)
    normal = torch.from_numpy(norm.ppf((np.arange(2000) + 0.5) / 2000))[:, None]
    optimiser = torch.optim.LBFGS([spread], max_iter=50)

    def loss():
        optimiser.zero_grad()
        found = normal_crps(normal * torch.tensor([0.5, 2.0]), spread).mean()
        found.backward()
        return found

    optimiser.step(loss)
    np.testing.assert_allclose(spread.detach(), [0.5, 2.0], rtol=1e-2)
