"""A folder of diffusers with four samplers at 10 evaluations: python diffusers_checkpoint.py FOLDER [CONFIG]."""

import sys

import jax

from linnet import config_file, interop
from linnet.data.transforms import to_uint8
from linnet.evaluation.grid import save_grid
from linnet.models import create_model
from linnet.models.eps_net import create_eps_net
from linnet.samplers import SAMPLERS
from linnet.sde_lib import get_sde

folder, *more = sys.argv[1:]
config = config_file.load(more[0] if more else "configs/vp/cifar10_ddpm.py")
if not more:
    config.model.attn_every_block = True  # google/ddpm-cifar10-32; other networks: the error says what to set
sde = get_sde(config)
eps_fn = create_eps_net(config, create_model(config), sde).bind(interop.load(folder, config))
u_T = sde.prior(jax.random.key(0), (4, config.data.image_size, config.data.image_size, config.data.num_channels))
for method in ("gddim", "dpmpp_2m", "unipc", "ddim"):
    sampler = SAMPLERS[method](sde, nfe=10)
    u = jax.jit(lambda u, sampler=sampler: sampler(eps_fn, jax.random.key(1), u).u)(u_T)
    save_grid(jax.device_get(to_uint8(u)), f"{method}.png")
    print(f"{method}.png: {sampler.nfe} evaluations")
