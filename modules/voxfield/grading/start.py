"""Going on from a model: the weights that fit are taken over, the others told."""

from typing import Any

import numpy as np

from voxfield.artifacts import Model
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.grading.grader import FAMILY
from voxfield.grading.inputs import InputGrid
from voxfield.grading.study import Study

ENCODER = "grading-encoder"  # the family of what `grading.pretrain` writes
SEEN = ("trunk.", "pool.")  # what sees the image, and must fit
COARSER = 1.1  # ratio of cell sizes beyond which the same weights see another size of things


def encoder_weights(network: Any) -> dict[str, Any]:
    """The weights of a network that see the image, by their names in a model."""
    return {f"network.{name}": tensor for name, tensor in network.state_dict().items() if name.startswith(SEEN)}


def take_over(network: Any, config: dict[str, Any], grid: InputGrid, model: Model, ctx: Context) -> None:
    """Copy a model's weights into `network`; one finding says how many were taken.

    config  of the network, as `networks.build` takes it     grid  on which it sees scans

    What sees the image must fit whole; head and features are taken where they fit. Raises InputError for a model of
    another family or architecture, or of other channels.
    """
    if model.family not in (ENCODER, FAMILY) or model.architecture != config["name"]:
        raise InputError(
            f"is a model of the family {model.family!r} and architecture {model.architecture!r}; expected one of "
            f"grading.pretrain or grading.train and network {config['name']!r}",
            file=model.file,
        )
    own = network.state_dict()
    given = {name.removeprefix("network."): w for name, w in model.weights.items() if name.startswith("network.")}
    taken = {name: w for name, w in given.items() if name in own and own[name].shape == w.shape}
    unfit = [name for name in own if name.startswith(SEEN) and name not in taken]
    if unfit or not taken:
        theirs = model.config.get("network", {})
        raise InputError(
            f"its network sees images otherwise ({_words(theirs)}) than the one to be trained ({_words(config)}); "
            "train with the settings that it was made with",
            file=model.file,
        )
    network.load_state_dict({**own, **taken})
    left = sorted(set(own) - set(taken))
    message = f"{len(taken)} of {len(own)} tensors are taken over from the given model"
    ctx.finding("continued", "info", f"{message}; fresh: {', '.join(left)}" if left else message, file=model.file)
    _compare_cells(grid, model, ctx)


def tell_of_leak(model: Model, study: Study, ctx: Context) -> None:
    """Tell where scans that are held out were among those that the model learnt from, by their subjects."""
    examples = model.config.get("examples") or {}
    learnt = {*model.config.get("subjects", ()), *examples.get("subjects", ())}
    held_out = [
        name for name, role in zip(study.subjects, study.roles, strict=True) if role != "train" and name in learnt
    ]
    if held_out:
        message = (
            f"{len(held_out)} rows that are held out bear the names of scans that the given model learnt from, the "
            f"first is {held_out[0]}: their scores are too good; divide the cohort before the first training "
            "(grading.split) and keep to that"
        )
        ctx.finding("learnt-before", "warning", message, file=model.file, value=len(held_out))


def _words(config: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in config.items() if key in ("name", "dims", "channels", "depth"))


def _compare_cells(grid: InputGrid, model: Model, ctx: Context) -> None:
    """Tell where the model saw cells of another size."""
    theirs = np.asarray(model.config["grid"]["spacing_mm"])
    ratio = np.max(np.abs(np.log(theirs / np.asarray(grid.spacing_mm)))[list(grid.axes)])
    if ratio > np.log(COARSER):
        sizes = " and ".join(" x ".join(f"{mm:.3g}" for mm in spacing) for spacing in (theirs, grid.spacing_mm))
        message = f"it saw cells of another size: {sizes} mm; set cells so that they agree"
        ctx.finding("other-cells", "warning", message, file=model.file, value=float(np.exp(ratio)))
