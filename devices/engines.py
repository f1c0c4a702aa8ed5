"""The engines of training: modules with the same functions, chosen by config.training.engine.

place, share, shard, shard_steps    host -> devices: a TrainState, rows of examples, a batch, batches of steps
parallel_steps, parallel_measure    functions of training.step -> functions of all devices of all processes
first, to_host, whole, own          devices -> one copy there, the host, rows on the host, the functions of
                                    devices.parallel that draw and measure
bytes_on_device                     what a TrainState takes

Under pmap every device holds the whole state; under mesh moments and averages are divided between them. The numbers are
the same up to rounding, and either reads the other's checkpoints.
"""

from linnet.devices import mesh, parallel

ENGINES = {"pmap": parallel, "mesh": mesh}
