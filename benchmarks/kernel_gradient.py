"""The gradient of a convolution in its kernel on the CPU: of the whole batch against parts, as networks take it.

    taskset -c 0 python -m benchmarks.kernel_gradient --repeats=5 --json=kernel_gradient.json

3x3 convolutions with zero padding in float32. The smallest of the repeats counts, of seconds of all threads of the
process, which what else the machine does changes little; the two take turns.
"""

import argparse
import json
import time

SHAPES = (
    (16, 32, 128, 128),
    (16, 16, 256, 256),
    (16, 8, 256, 256),
    (32, 32, 64, 64),
    (64, 28, 32, 32),
    (128, 8, 64, 64),
    (4, 64, 128, 128),
    (2, 128, 64, 64),
)
"""(images, height and width, channels in, channels out)."""


def programs(shape):
    """{name: compiled (x, g) -> gradient in the kernel}, and the arrays x and g."""
    import jax
    import jax.numpy as jnp

    from linnet.models.convolution import convolve

    images, side, channels, features = shape
    x = jax.random.normal(jax.random.key(0), (images, side, side, channels))
    g = jax.random.normal(jax.random.key(1), (images, side, side, features))
    kernel = jnp.zeros((3, 3, channels, features))

    def whole(x, kernel):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)

    def parts(x, kernel):
        return convolve(x, kernel, (1, 1), ((1, 1), (1, 1)))

    def compiled(function):
        gradient = jax.jit(lambda x, g: jax.vjp(lambda w: function(x, w), kernel)[1](g)[0])
        return gradient.lower(x, g).compile()

    return {"whole": compiled(whole), "parts": compiled(parts)}, (x, g)


def race(shape, repeats):
    """{name: GFLOP/s, "part": (images, rows) of a part}."""
    import jax

    from linnet.models.convolution import part_of

    runs, arrays = programs(shape)
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            jax.block_until_ready(run(*arrays))
            best[name] = min(best[name], time.process_time() - start)
    images, side, channels, features = shape
    flops = 2 * 9 * images * side * side * channels * features
    return {name: flops / took / 1e9 for name, took in best.items()} | {"part": part_of((images, side, side, features))}


def main() -> None:
    """Prints a row of the table for each shape, and writes them as JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="file for the results")
    arguments = parser.parse_args()
    rows = []
    print("| images x pixels, channels | part (images, rows) | whole, GFLOP/s | parts, GFLOP/s | ratio |")
    print("|---|---|---|---|---|")
    for shape in SHAPES:
        found = race(shape, arguments.repeats)
        images, side, channels, _ = shape
        cells = f"{found['part']} | {found['whole']:.0f} | {found['parts']:.0f} | {found['parts'] / found['whole']:.2f}"
        print(f"| {images} x {side} x {side}, {channels} | {cells} |", flush=True)
        rows.append({"shape": shape} | found)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
