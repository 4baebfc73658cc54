"""Going on from a model: the weights that fit are taken over, the others told."""

from torch import nn

from voxfield.artifacts import Model
from voxfield.context import Context
from voxfield.errors import InputError

FAMILIES = ("segmentation", "segmentation-encoder")


def take_over(network: nn.Module, model: Model, architecture: str, ctx: Context) -> None:
    """Copy weights of the same name and shape into `network`; one finding says how many were taken.

    Raises InputError for a model of another family or architecture, and where no weight fits.
    """
    if model.family not in FAMILIES or model.architecture != architecture:
        raise InputError(
            f"is a model of the family {model.family!r} and architecture {model.architecture!r}; "
            f"expected one of {', '.join(FAMILIES)} and {architecture!r}",
            file=model.file,
        )
    own = network.state_dict()
    taken = {name: w for name, w in model.weights.items() if name in own and own[name].shape == w.shape}
    if not taken:
        raise InputError(
            "holds no weight that fits this network; train with the channels that it was made with", file=model.file
        )
    network.load_state_dict({**own, **taken})
    left = sorted(set(own) - set(taken))
    message = f"{len(taken)} of {len(own)} tensors are taken over from the given model"
    ctx.finding("continued", "info", f"{message}; fresh: {', '.join(left)}" if left else message, file=model.file)
