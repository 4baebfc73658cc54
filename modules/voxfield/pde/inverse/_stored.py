"""Trained networks as artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxfield.artifacts import Model
from voxfield.errors import InputError
from voxfield.pde.inverse._dgno import Darcy, DeepGenerativeOperator, Sizes

FAMILY = "pde.inverse"
ARCHITECTURE = "dgno"


def to_model(network: DeepGenerativeOperator, training: Mapping[str, Any]) -> Model:
    """Weights, arguments and the account of the training. The permeabilities are simulated: nobody's data."""
    config = {**network.arguments(), "training": dict(training)}
    return Model(network.state_dict(), config, family=FAMILY, architecture=ARCHITECTURE, licence="CC0-1.0")


def from_model(model: Model) -> DeepGenerativeOperator:
    """The network of a file. Raises InputError for another family's, and for weights that do not fit."""
    if (model.family, model.architecture) != (FAMILY, ARCHITECTURE):
        raise InputError(
            f"is a model {model.architecture!r} of the family {model.family!r}; expected {ARCHITECTURE!r} of "
            f"{FAMILY!r}, as pde.inverse_train makes it", file=model.file,
        )  # fmt: skip
    try:
        network = DeepGenerativeOperator(Darcy(**model.config["darcy"]), Sizes(**model.config["sizes"]))
        network.load_state_dict(model.weights)
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"its weights do not fit its configuration: {error}", file=model.file) from None
    network.eval()
    return network
