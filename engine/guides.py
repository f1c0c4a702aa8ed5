"""The network of an experiment with what guides it, as config.sampling says (see models.guidance).

The classifier and the weaker network of autoguidance are parameters of our own: a workdir, one of its checkpoints, or
an export, whose stored config says what network they are of. They are of the process of the network itself, also where
that is carried to another one.
"""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from linnet import interop
from linnet.config_keys import resolve
from linnet.engine.classes import listed
from linnet.models.guidance import Guidance

if TYPE_CHECKING:
    from linnet.engine.experiment import Experiment

SCALES = {"guide": "guide_scale", "classifier": "classifier_scale"}
GUIDANCE = ("guidance", "guidance_interval", *SCALES, *SCALES.values())
"""Keys of config.sampling that are about guidance."""

TAKES = {"label": "num_classes", "low_res": "super_resolution"}
"""What a condition may hold -> the key of config.model by which a network takes it."""

NETWORK = "network"


class Guided:
    """weights(params) are the parameters of all networks, to be handed through compiled functions; bind(weights,
    condition) is what samplers are given.

    open_run(config, path) -> Experiment. ValueError, in one line, for keys that mean nothing, and for networks of
    another kind, process, size or classes; OSError for paths where there is nothing.
    """

    def __init__(self, experiment: "Experiment", open_run: Callable[[ConfigDict, str], "Experiment"]):
        self.experiment, self.sampling = experiment, experiment.config.sampling
        check_keys(self.sampling)
        self.guides: dict[str, Experiment] = {}
        for key in SCALES:
            if path := self.sampling[key]:
                name = f"config.sampling.{key}={path!r}"
                self.guides[key] = guide = opened(path, name, open_run)
                check_kind(guide.config.model.prediction, key, name)
                check_same(guide, experiment, name)
        check_classes(self)

    @property
    def classes(self) -> tuple[int, tuple[str, ...]]:
        """(number, names) of the classes that images are drawn of: the network's, else the classifier's; (0, ())."""
        network = self.experiment
        of = network if number_of(network.config.model) else self.guides.get("classifier", network)
        return number_of(of.config.model), of.classes

    @property
    def is_guided(self) -> bool:
        """Whether there is any guidance."""
        return bool(self.guides) or self.sampling.guidance != 1

    @functools.cached_property
    def noted(self) -> dict[str, Any]:
        """For records: {"guides": {key: {"parameters": their SHA-256, "scale"}}}, or {} without guides."""
        found = {
            key: {"parameters": guide.trained.hash, "scale": self.scale(key)} for key, guide in self.guides.items()
        }
        return {"guides": found} if found else {}

    def scale(self, key: str) -> float:
        """The scale of a guide; 1 where config.sampling does not say."""
        value = self.sampling[SCALES[key]]
        return 1.0 if value is None else value

    def weights(self, params: dict[str, Any], put: Callable[[Any], Any] = lambda tree: tree) -> dict[str, Any]:
        """params of the network, with those of its guides where there are any, which `put` places beside them."""
        if not self.guides:
            return params
        return {NETWORK: params} | {key: put(guide.trained.params) for key, guide in self.guides.items()}

    def bind(self, weights: dict[str, Any], condition: dict[str, Any]) -> Any:
        """What samplers are given. condition: what is known of the images, each (B, ...); each network takes its part.

        ValueError for classifier-free guidance without classes, and for guides of a network that gives no eps.
        """
        weights = weights if self.guides else {NETWORK: weights}
        given: dict[str, Any] = {"scale": self.sampling.guidance}
        if "guide" in self.guides:
            guide = self.guides["guide"]
            given["guide"] = guide.eps_net.bind(weights["guide"], taken(guide.config.model, condition))
            given["guide_scale"] = self.scale("guide")
        if "classifier" in self.guides:
            given["log_prob"] = self.guides["classifier"].eps_net.classify(weights["classifier"], condition)
            given["classifier_scale"] = self.scale("classifier")
        if self.sampling.guidance_interval:
            given["interval"] = tuple(self.sampling.guidance_interval)
        own = taken(self.experiment.config.model, condition)
        return self.experiment.carried.bind(weights[NETWORK], own, Guidance(**given))


def number_of(model: ConfigDict) -> int:
    """The number of classes of the network of config.model, 0 for none."""
    return model.get("num_classes", 0)


def taken(model: ConfigDict, condition: dict[str, Any]) -> dict[str, Any]:
    """What the network of config.model takes of a condition."""
    return {key: value for key, value in condition.items() if model.get(TAKES[key], 0)}


def opened(path: str, name: str, open_run: Callable[[ConfigDict, str], "Experiment"]) -> "Experiment":
    """The Experiment of the parameters at `path`, by the config that is stored with them."""
    stored = interop.stored(path)
    if not stored:
        raise ValueError(f"{name} does not say what network it is of: give the workdir or the export of a run")
    return open_run(resolve(stored), path)


def check_keys(sampling: ConfigDict) -> None:
    """ValueError for keys of guidance that mean nothing beside the others."""
    if not math.isfinite(sampling.guidance):
        raise ValueError(f"config.sampling.guidance={sampling.guidance} must be a finite number; 1 is none")
    for key, scale in SCALES.items():
        if sampling[scale] is not None and not sampling[key]:
            raise ValueError(f"config.sampling.{scale} means nothing without config.sampling.{key}")
    if sampling.guide and sampling.guide_scale is None:
        raise ValueError("config.sampling.guide needs config.sampling.guide_scale, such as 2; 1 is none")
    interval = tuple(sampling.guidance_interval)
    if interval and not (sampling.guide or sampling.classifier or sampling.guidance != 1):
        raise ValueError(
            "config.sampling.guidance_interval means nothing without config.sampling.guidance, classifier or guide"
        )
    if interval and not (len(interval) == 2 and interval[0] < interval[1]):
        raise ValueError(f"config.sampling.guidance_interval={interval} must be two noise levels, the lower one first")


def check_kind(prediction: str, key: str, name: str) -> None:
    """ValueError for a network that is no classifier, or one where an eps is needed."""
    if key == "classifier" and prediction != "class":
        raise ValueError(f"{name} is no classifier: train one by config.training.objective=classifier")
    if key == "guide" and prediction in ("class", "direct"):
        raise ValueError(f"{name} is of config.model.prediction={prediction!r}, which gives no eps")


def check_same(guide: "Experiment", experiment: "Experiment", name: str) -> None:
    """ValueError for a guide of another process or of other images than the network."""
    there, here = guide.trained_config.sde.to_dict(), experiment.trained_config.sde.to_dict()
    different = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    if different:
        key = "name" if "name" in different else different[0]
        raise ValueError(
            f"{name} is of another process: its config.sde.{key} is {there.get(key)!r}, that of the network "
            f"{here.get(key)!r}"
        )
    if guide.shape != experiment.shape:
        raise ValueError(f"{name} is for images of shape {guide.shape}, and the network for {experiment.shape}")
    if guide.config.data.centered != experiment.config.data.centered:
        raise ValueError(f"{name} has config.data.centered={guide.config.data.centered}, unlike the network")


def check_classes(guided: Guided) -> None:
    """ValueError for guides of other classes than the images are drawn of; those without classes are for all."""
    number, names = guided.classes
    for key, guide in guided.guides.items():
        theirs = guide.classes
        count = number_of(guide.config.model)
        if count and (count != number or (theirs and names and theirs != names)):
            wanted = listed(names) if names else f"{number} classes"
            found = listed(theirs) if theirs else f"{count} classes"
            path = guided.sampling[key]
            raise ValueError(f"config.sampling.{key}={path!r} knows {found}, and images are drawn of {wanted}")
