"""What a config describes, built piece by piece when it is first asked for."""

import copy
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from linnet import interop, samplers
from linnet.data import NoSplit, get_latents
from linnet.data.latents import Latents, read_head
from linnet.data.source import Source
from linnet.engine import classes, names, record, tables, trained
from linnet.engine.autoencoder import Decoder, check_latents
from linnet.engine.generate import Recipe, make_sample
from linnet.engine.guides import Guided
from linnet.engine.latents import flow_begin
from linnet.engine.open_data import open_split
from linnet.engine.paths import Paths
from linnet.engine.sample_conditions import SampleConditions, low_res_source
from linnet.models import create_model
from linnet.models.eps_net import EpsNet, create_eps_net
from linnet.models.transfer import CarriedNet
from linnet.randomness import Purpose, key_for
from linnet.samplers.base import Samples
from linnet.sde_lib import get_sde
from linnet.sde_lib.base import LinearSDE
from linnet.training.checkpoint import Checkpoints
from linnet.training.objectives import get_objective
from linnet.training.objectives.base import Objective
from linnet.training.optimizer import create_optimizer
from linnet.training.state import TrainState, ema_rates


class Experiment:
    """config, which is copied, with the paths of the command line. ValueError for keys that have no effect."""

    def __init__(self, config, workdir=None, ckpt=None, result_folder=None, overrides=()):
        self.config = config = copy.deepcopy(config)
        self.paths = Paths(workdir, ckpt, result_folder)
        self._datasets = {}
        names.check(config)
        if config.sampling.table:
            tables.check_overrides(overrides)
        names.settle(config, overrides)
        tables.check_replaced(self.nfe_follows, overrides)
        check_latents(config)
        if config.model.get("num_classes", 0) == classes.FOLLOW:
            config.model.num_classes = self.stored_classes[0] or classes.follow(self.dataset())

    @functools.cached_property
    def sde(self) -> LinearSDE:
        """The process of the images. ValueError as `get_sde`."""
        return get_sde(self.config)

    @property
    def trained_config(self) -> ConfigDict:
        """The config with the process of the network in `sde`: config.network_sde, where that is another one."""
        config = self.config.copy_and_resolve_references()
        if config.network_sde.name:
            config.sde = config.network_sde
            config.network_sde = ConfigDict({"name": ""})
        return config

    @functools.cached_property
    def is_carried(self) -> bool:
        """Whether images are made under another process than that of the network."""
        return self.trained_config.sde.to_dict() != self.config.sde.to_dict()

    @property
    def processes(self) -> dict[str, Any]:
        """What a record says of them: that of the images, and that of the network where it is another one."""
        own = {"network_sde": self.trained_config.sde.to_dict()} if self.is_carried else {}
        return {"sde": self.config.sde.to_dict()} | own

    def results(self, verb: str, *names: str) -> str:
        """The folder of a verb's results; for a network that is carried one that names the processes by content."""
        if self.is_carried:
            digest = hashlib.sha256(json.dumps(self.processes).encode()).hexdigest()[:8]
            names = (*names, f"under_{self.config.sde.name}_{digest}")
        return self.paths.results(verb, self.trained, *names)

    @functools.cached_property
    def eps_net(self) -> EpsNet:
        """The network under its own process, as it is trained."""
        sde = get_sde(self.trained_config) if self.is_carried else self.sde
        return create_eps_net(self.config, create_model(self.config), sde)

    @functools.cached_property
    def carried(self) -> EpsNet | CarriedNet:
        """The network under the process of config.sde: what samplers are given."""
        if not self.is_carried:
            return self.eps_net
        print(f"a network of {self.trained_config.sde.name}, carried to {self.config.sde.name}", flush=True)
        return CarriedNet(self.eps_net, self.sde, flow_begin(self.config, self.eps_net))

    @functools.cached_property
    def objective(self) -> Objective:
        """What training lowers, of the network under its own process. ValueError as its class."""
        return get_objective(self.config, self.eps_net)

    @functools.cached_property
    def sampler(self) -> Any:
        """The sampler of config.sampling. ValueError as `sampler_with`."""
        return self.sampler_with()

    def sampler_with(self, **changes: Any) -> Any:
        """The sampler of the config with other values of some keys of config.sampling.

        ValueError where it cannot be built, or is for another kind of network.
        """
        if "nfe" in changes and self.nfe_follows in ("table", "times"):
            raise ValueError(f"other numbers of evaluations mean nothing beside config.sampling.{self.nfe_follows}")
        config = copy.deepcopy(self.config)
        with config.unlocked(), config.sampling.ignore_type():
            config.sampling.update(self.sampling | changes)
        return samplers.get_sampler(config, self.sde, self.carried.bind(None))

    def sample_with(self, **changes: Any) -> Callable[..., Samples]:
        """sample(weights, index, condition) with the sampler of `sampler_with`, see engine.generate."""
        return make_sample(self.config.seed, self.sde, self.guided, self.sampler_with(**changes), self.shape)

    @functools.cached_property
    def guided(self) -> Guided:
        """The network under the process of config.sde with what config.sampling lets guide it."""
        return Guided(self, lambda config, path: Experiment(config, ckpt=path))

    @property
    def weights(self) -> dict[str, Any]:
        """The parameters of the checkpoint to use, with those of its guides."""
        return self.guided.weights(self.trained.params)

    @property
    def recipe(self) -> Recipe:
        """What makes images of parameters."""
        data, seed = self.config.data, self.config.seed
        return Recipe(
            self.sample_with, self.sde.project, self.conditions, self.shape, data.centered, seed, self.decoder
        )

    def made_by(self) -> dict[str, Any]:
        """What decides the samples, see engine.record.identity."""
        return record.identity(
            self.config,
            self.paths,
            self.trained,
            sampling=self.sampling,
            nfe_follows=self.nfe_follows,
            processes=self.processes,
            shape=self.shape,
            low_res=self.conditions.source,
            guides=self.guided.noted,
            decoder=self.decoder,
        )

    def sample_folder(self) -> str:
        """--result_folder, or a folder beside the checkpoint that is named after what decides the samples."""
        if self.paths.result_folder is not None:
            return self.paths.result_folder
        nfe = self.sampler.nfe if self.nfe_follows else self.sampling["nfe"]
        return self.paths.results(
            "check", self.trained, record.folder_name(self.made_by(), self.config.eval.params, nfe)
        )

    def provenance(self) -> dict[str, Any]:
        """What every record of results says: parameters, seed, processes and the file of latents."""
        return record.provenance(self.trained, self.config) | self.processes

    def dataset(self, split: str = "train") -> Source:
        """The data set's `split`, opened once; what there is to say about it is printed."""
        if split not in self._datasets:
            self._datasets[split] = open_split(self.config, split)
        return self._datasets[split]

    def examples(self, split: str = "train") -> Source:
        """The data set's `split`, or its latents, with labels as the network knows them. ValueError for others."""
        number = self.config.model.get("num_classes", 0)
        source = self.dataset(split) if self.latents is None else self._encoded(split)
        return classes.labelled(source, split, number, self.classes if number else ())

    def _encoded(self, split: str) -> Source:
        if ("latents", split) not in self._datasets:
            self._datasets["latents", split] = get_latents(self.config, split)
        return self._datasets["latents", split]

    @functools.cached_property
    def latents(self) -> Latents | None:
        """What config.data.latents says of its latents (data.latents.Latents); None for a process of the images."""
        path = self.config.data.latents
        return read_head(Path(path)) if path else None

    @functools.cached_property
    def decoder(self) -> Decoder | None:
        """The Decoder of latents; None for a process of the images. ValueError where there is none that fits."""
        return None if self.latents is None else Decoder(self.config.data, self.latents)

    def stored(self, x: np.ndarray) -> np.ndarray:
        """x (n, ...) in the range of the model, on the host -> uint8 images; points as they are."""
        return self.recipe.stored(x)

    def evaluated(self) -> Source:
        """The examples of config.eval.image_split. NoSplit says which key chooses another."""
        try:
            return self.examples(self.config.eval.image_split)
        except NoSplit as error:
            raise NoSplit(f"{error}; or take other images by config.eval.image_split=train") from error

    @functools.cached_property
    def conditions(self) -> SampleConditions:
        """The SampleConditions of images that are drawn."""
        images = self.dataset if self.config.sampling.labels else self.examples
        return SampleConditions(self.config, *self.guided.classes, low_res_source(self.config, self.shape, images))

    @functools.cached_property
    def stored_classes(self) -> tuple[int | None, tuple[str, ...]]:
        """(number, names) of the classes of the checkpoint to use or to go on from; (None, ()) where nothing says."""
        path = self.paths.source()
        return interop.classes(path) if path else (None, ())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the network's classes by number: the checkpoint's, else config.data.classes; () for unknown."""
        return self.stored_classes[1] or tuple(self.config.data.get("classes", ()))

    @property
    def points(self) -> np.ndarray | None:
        """The training points (N, D), which pictures show below those that were drawn; None for images."""
        found = self.dataset().arrays() if len(self.shape) == 1 else None
        return found and found[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C) or (D,) of what the process is of: images, points or latents."""
        return self.picture_shape if self.latents is None else self.latents.shape

    @functools.cached_property
    def picture_shape(self) -> tuple[int, ...]:
        """(H, W, C) of images or (D,) of points: from the config, and from the data where the config leaves it open."""
        data = self.config.data
        size = (data.image_size,) * 2 if isinstance(data.image_size, int) else tuple(data.image_size)
        known = data.dataset != "points" and all(size) and data.num_channels
        return (*size, data.num_channels) if known else self.dataset().shape

    def complete(self) -> None:
        """Writes into `config`, once for training, what it leaves to the data: classes, size and channels."""
        data = self.config.data
        with self.config.ignore_type():
            data.classes = self.examples().class_names if self.config.model.get("num_classes", 0) else ()
            data.image_size = tuple(self.picture_shape[:2]) if len(self.shape) == 3 else 0
            data.num_channels = self.picture_shape[-1]

    def create_state(self) -> TrainState:
        """The TrainState before training: initialised parameters, optimiser and averages."""
        params = self.eps_net.init(key_for(self.config.seed, Purpose.INITIALISATION), self.shape)
        return self.state_of(params)

    def state_of(self, params: dict[str, Any]) -> TrainState:
        """The TrainState that begins with these parameters."""
        return TrainState.create(
            params,
            create_optimizer(self.config),
            ema_rates(self.config),
            self.objective.init(),
            self.config.training.ema_stds,
        )

    def checkpoints(self) -> Checkpoints:
        """The checkpoints of the workdir, which the first process of a training writes."""
        keep_last = self.config.training.keep_checkpoints if jax.process_index() == 0 else None
        return Checkpoints(self.paths.run("checkpoints"), keep_last)

    @functools.cached_property
    def trained(self) -> trained.Trained:
        """The Trained parameters of the checkpoint to use."""
        return trained.load(self.paths, self.config, self.trained_config, self.shape, self.picture_shape)

    @functools.cached_property
    def sampling(self) -> dict[str, Any]:
        """The keys of config.sampling, of which a table replaces its own."""
        given = self.config.sampling.to_dict()
        return given | tables.read(given["table"], self.processes) if given["table"] else given

    @property
    def nfe_follows(self) -> str:
        """The key of config.sampling that says how many evaluations are made, in place of nfe; "" where none does."""
        taken = [key for key in ("table", "times", "respacing") if self.config.sampling.get(key)]
        known = ("table", *samplers.config_keys(self.sampling["method"]))
        return next((key for key in taken if key in known), "")
