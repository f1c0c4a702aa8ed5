"""Image-evaluations per second of sampling: ours against diffusers' UNet2DModel in torch, eager and compiled.

    python -m benchmarks.sampling --batch=16 --json=sampling.json              (peers: pip install '.[bench]')

The DDPM CIFAR-10 network, --steps evaluations for a batch: gDDIM here, DDIM with the same number there.
"""

import numpy as np

from benchmarks.contestants import jax_memory, race, seconds, torch_memory, torch_unet


def linnet(arguments):
    """Our sampler as --mode=sample runs it: one compiled program for all evaluations."""
    import jax

    from linnet.configs.vp.cifar10_ddpm import get_config
    from linnet.devices import parallel
    from linnet.engine.experiment import Experiment
    from linnet.engine.generate import Generator

    config = get_config()
    config.model.dtype = arguments.dtype
    config.sampling.nfe = arguments.steps
    experiment = Experiment(config)
    params = parallel.replicate(experiment.eps_net.init(jax.random.key(0), experiment.shape))
    generator = Generator(experiment.recipe, arguments.batch)
    took = seconds(lambda: generator.batch(params, 0), lambda: None, 2)
    return result(arguments, took) | jax_memory()


def result(arguments, took):
    """Rates from the seconds of one batch."""
    return {"image_evaluations_per_s": arguments.batch * arguments.steps / took, "s_per_batch": took}


def torch_ddim(arguments, compiled):
    """DDIM on the same betas."""
    torch, network, device = torch_unet(arguments.dtype)
    network.eval()
    model = torch.compile(network) if compiled else network
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    times = np.linspace(999, 0, arguments.steps + 1).astype(int)

    @torch.inference_mode()
    def sample():
        x = torch.randn(arguments.batch, 3, 32, 32, device=device)
        for t, s in zip(times[:-1], times[1:], strict=True):
            a, b = np.sqrt(alpha_bar[t]), np.sqrt(alpha_bar[s])
            with torch.autocast(device, torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
                eps = model(x, torch.full((arguments.batch,), int(t), device=device)).sample.float()
            x = b / a * x + (np.sqrt(1 - b**2) - b / a * np.sqrt(1 - a**2)) * eps
        return x

    took = seconds(sample, torch.cuda.synchronize if device == "cuda" else lambda: None, 2)
    return result(arguments, took) | torch_memory(torch, device)


if __name__ == "__main__":
    CONTESTANTS = {
        "linnet": linnet,
        "torch_eager": lambda arguments: torch_ddim(arguments, compiled=False),
        "torch_compiled": lambda arguments: torch_ddim(arguments, compiled=True),
    }
    race("benchmarks.sampling", CONTESTANTS, __doc__)
