"""Images per second of a training step: ours against diffusers' UNet2DModel in torch, eager and compiled.

    python -m benchmarks.train_step --batch=16 --json=train_step.json          (peers: pip install '.[bench]')

The DDPM CIFAR-10 network (35.7 M parameters), dropout 0.1: noise, forward, backward, clipping, Adam, EMA.
"""

import numpy as np

from benchmarks.contestants import jax_memory, race, seconds, torch_memory, torch_unet, torch_update


def linnet(arguments):
    """Our train step as --mode=train runs it."""
    import jax

    from linnet.configs.vp.cifar10_ddpm import get_config
    from linnet.devices import parallel
    from linnet.engine.experiment import Experiment
    from linnet.engine.steps import train_step

    config = get_config()
    config.model.dtype = arguments.dtype
    experiment = Experiment(config)
    state = parallel.place(experiment.create_state())
    stride = 1 if jax.default_backend() == "cpu" else config.training.n_jitted_steps
    images = np.random.default_rng(0).integers(0, 256, (arguments.batch, 32, 32, 3), np.uint8)
    batch = parallel.shard_steps([{"image": images}] * stride)
    run, metrics = train_step(experiment.objective, experiment.config), None

    def step():
        nonlocal state, metrics
        state, metrics = run(state, batch)

    took = seconds(step, lambda: jax.block_until_ready(metrics), arguments.steps) / stride
    return {"images_per_s": arguments.batch / took, "s_per_step": took} | jax_memory()


def torch_step(arguments, compiled):
    """The same work in torch."""
    torch, network, device = torch_unet(arguments.dtype)
    average = [p.detach().clone() for p in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4, foreach=True)
    model = torch.compile(network) if compiled else network
    x = torch.randn(arguments.batch, 3, 32, 32, device=device)
    automatic = torch.autocast(device, torch.bfloat16, enabled=arguments.dtype == "bfloat16")

    def step():
        t = torch.rand(arguments.batch, device=device)
        noise = torch.randn_like(x)
        alpha = torch.exp(-0.5 * (0.1 * t + 9.95 * t**2))[:, None, None, None]
        with automatic:
            predicted = model(alpha * x + (1 - alpha**2).sqrt() * noise, 999 * t).sample
        loss = ((predicted.float() - noise) ** 2).mean()
        torch_update(torch, loss, network, average, optimizer, 1e-4)

    network.train()
    took = seconds(step, torch.cuda.synchronize if device == "cuda" else lambda: None, arguments.steps)
    return {"images_per_s": arguments.batch / took, "s_per_step": took} | torch_memory(torch, device)


if __name__ == "__main__":
    CONTESTANTS = {
        "linnet": linnet,
        "torch_eager": lambda arguments: torch_step(arguments, compiled=False),
        "torch_compiled": lambda arguments: torch_step(arguments, compiled=True),
    }
    race("benchmarks.train_step", CONTESTANTS, __doc__)
