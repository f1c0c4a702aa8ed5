"""Contestants of a benchmark: each runs in a process of its own, one after the other, and reports as a line of JSON."""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

THREADS = str(os.cpu_count())


def race(module, contestants, description):
    """Runs `contestants` (name -> function(arguments) -> dict of results) and prints a table, and JSON with --json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--batch", type=int, default=16, help="images per step")
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after one that compiles")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--only", choices=contestants, help="run one, in this process")
    arguments = parser.parse_args()
    if arguments.only:
        result = contestants[arguments.only](arguments)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"peak_memory_mib": peak} | result))
        return
    rows = {name: alone(module, name, arguments) for name in contestants}
    print(table(rows))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"batch": arguments.batch, "dtype": arguments.dtype, "results": rows}, file, indent=2)


def alone(module, name, arguments):
    """The results of one contestant in a fresh process, or {"missing": why}."""
    command = [sys.executable, "-m", module, "--only", name]
    for key in ("batch", "steps", "dtype"):
        command += [f"--{key}", str(getattr(arguments, key))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(rows):
    """The rows as text, one contestant a line."""
    lines = []
    for name, row in rows.items():
        cells = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()]
        lines.append(f"{name:16}" + "  ".join(cells))
    return "\n".join(lines)


def seconds(step, wait, steps):
    """Median seconds of step(); wait() until the device has finished."""
    step()
    wait()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def torch_unet(dtype):
    """(torch, diffusers' UNet2DModel with the channels, blocks and attention of the DDPM CIFAR-10 model, device)."""
    import torch
    from diffusers import UNet2DModel

    torch.set_num_threads(int(THREADS))
    network = UNet2DModel(
        sample_size=32,
        block_out_channels=(128, 256, 256, 256),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        dropout=0.1,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device)
    if device == "cpu":
        network = network.to(memory_format=torch.channels_last)
    return torch, network, device


def torch_update(torch, loss, network, average, optimizer, share):
    """One step of `network` down the loss, with clipping; `average`, a list of tensors, moves by `share` towards it."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    torch._foreach_lerp_(average, [p.detach() for p in network.parameters()], share)


def torch_memory(torch, device):
    """Peak memory of the accelerator, if there is one."""
    return {"peak_memory_mib": torch.cuda.max_memory_allocated() / 2**20} if device == "cuda" else {}


def jax_memory():
    """Peak memory of the accelerator, if there is one."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    return {"peak_memory_mib": stats["peak_bytes_in_use"] / 2**20} if "peak_bytes_in_use" in stats else {}
