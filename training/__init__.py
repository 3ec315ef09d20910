"""The models: loader, network, losses, trainer, sampler, scores."""
