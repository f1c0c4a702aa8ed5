"""Keys of the modes that complete or change images with a trained network: groups of their names."""

from typing import Any

from ml_collections.config_dict import placeholder


def completions() -> dict[str, Any]:
    """Keys of all modes that complete images of which y = A x is known. How many images: eval.num_images, 0 for 8."""
    return {
        "method": "pigdm",  # pigdm | mmps | null_space: any sampler; replacement: pc, em, order0, sdeis
        "iterations": placeholder(int),  # mmps: of conjugate gradients, a derivative of the network each; by default 3
        "resamples": placeholder(int),  # replacement: how often each step is taken, as RePaint's; by default 1
        "completions": 4,  # of each image
        "images": "",  # folder or zip of the images to complete; "": those of the data, eval.image_split
        "lpips": False,  # also the perceptual distance to the truth, by AlexNet
        "lpips_path": "",  # folder of its weights; "": environment variable, cache or download
    }


def inpaint() -> dict[str, Any]:
    """Keys of --mode=inpaint."""
    return completions() | {
        "mask": "half",  # which pixels are hidden: half (the right one) | box (in the middle) | random (single pixels)
        "share": placeholder(float),  # box, random: share of pixels hidden; by default 0.25 and 0.5
        "masks": "",  # folder or zip of masks in place of `mask`: white hides; one for all, or one for each image
    }


def super_resolution() -> dict[str, Any]:
    """Keys of --mode=super_resolution."""
    return completions() | {"factor": 2}  # pixels of the network for each pixel that is known, along each side


def edit() -> dict[str, Any]:
    """Keys of --mode=edit; the classes are those of sampling.labels. How many images: eval.num_images, 0 for 8."""
    return {
        "method": "noise",  # noise (SDEdit) | flow (along the probability flow and back)
        "strength": (),  # noise: how far images are noised, as shares of the time; (): 0.2, 0.4, 0.6, 0.8
        "images": "",  # folder or zip of the images to edit; "": those of the data, eval.image_split
    }
