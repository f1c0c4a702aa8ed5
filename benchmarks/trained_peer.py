"""A peer of a training run on grey 28 x 28 images: diffusers' UNet2DModel and DDPM scheduler in torch, the same budget.

    pip install '.[bench]'
    python -m benchmarks.trained_peer --images=mnist-train.zip --out=peer.npz --steps=2000
    python main.py --mode=fid --workdir=runs/mnist_vp --result_folder=peer.npz

Channels, levels, attention, optimiser, batch and average are those of docs/results/mnist_vp.md; the noise is the linear
schedule of DDPM (arXiv:2006.11239) with 1,000 steps, the prediction is eps, the loss the mean square. --nfe steps of
DDIM from the averaged parameters make --samples images. Prints images per second of training.
"""

import argparse
import copy
import io
import time
import zipfile

import numpy as np
from PIL import Image

from benchmarks.contestants import torch_update

BATCH = 64
RATE = 2e-3
WARMUP = 400
AVERAGE = 0.999


def images_of(path):
    """uint8 (N, 1, 28, 28): the grey pictures of a zip, in the order of their names."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(".png"))
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L")) for name in names]
    return np.stack(pictures)[:, None]


def network_of():
    """UNet2DModel with 16, 32 and 64 channels at 28, 14 and 7 pixels, one block a level, attention at 7."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=None,
    )


def train(network, images, steps, torch):
    """(averaged network, seconds): `steps` batches of permuted epochs."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    average = copy.deepcopy(network)
    averaged = [p.detach() for p in average.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARMUP))
    rows = torch.cat([torch.randperm(len(images)) for _ in range(-(-steps * BATCH // len(images)))])
    start = time.perf_counter()
    for step in range(steps):
        x_0 = images[rows[step * BATCH : (step + 1) * BATCH]].float() / 127.5 - 1
        noise = torch.randn_like(x_0)
        t = torch.randint(0, 1000, (BATCH,))
        loss = ((network(scheduler.add_noise(x_0, noise, t), t).sample - noise) ** 2).mean()
        rate = min(AVERAGE, (1 + step) / (10 + step))
        torch_update(torch, loss, network, averaged, optimizer, 1 - rate)
        warm.step()
        if step % 100 == 99:
            print(f"step {step + 1}/{steps}  loss {loss.item():.4f}", flush=True)
    return average, time.perf_counter() - start


def sample(network, number, nfe, torch):
    """uint8 (number, 28, 28, 1) by DDIM with `nfe` steps."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(nfe)
    made = []
    for first in range(0, number, 250):
        x = torch.randn(min(250, number - first), 1, 28, 28)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t).sample, t, x).prev_sample
        made.append(x.clamp(-1, 1))
    return ((torch.cat(made) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def main() -> None:
    """Trains, samples, and writes what `--mode=fid` scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="zip of grey 28 x 28 pictures")
    parser.add_argument("--out", required=True, help=".npz for the samples")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument(
        "--nfe", type=int, nargs="+", default=[50], help="steps of DDIM; of several, a file OUT_NFE.npz each"
    )
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    import torch

    torch.manual_seed(arguments.seed)
    network = network_of()
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    average, took = train(network, torch.from_numpy(images_of(arguments.images)), arguments.steps, torch)
    print(f"{arguments.steps * BATCH / took:.1f} images/s")
    for nfe in arguments.nfe:
        out = arguments.out if len(arguments.nfe) == 1 else arguments.out.replace(".npz", f"_{nfe}.npz")
        with torch.inference_mode():
            np.savez(out, sample(average, arguments.samples, nfe, torch))


if __name__ == "__main__":
    main()
