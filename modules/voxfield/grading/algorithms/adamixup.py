"""AdaMixUp (Guo et al. 2019, arXiv 1809.02499): MixUp whose shares are learnt, and a judge of what is no scan.

A region generator, a network of its own, looks at a pair x1, x2 through noise, (n1 x1 + n2 x2) / 2 with n1, n2 from a
normal distribution cut off at 2, and gives (a, d, rest) that sum to 1. The share of x1 is s = a + u d, u uniform in
0..1: any place in the region [a, a + d] of that pair. An intrusion discriminator on the embedding tells mixes from
scans, the sources of the mixes and scans that they were not made of.

    loss     that of the labelled, plus that of the mixes with mixed targets,
             plus mean log(1 + exp(-j(scan))) + mean log(1 + exp(j(mix)))

Classifier, generator and discriminator all lower this sum: the generator learns through the mixed scans, the mixed
targets and the discriminator. Mixes that can be told from scans lie where no scan contradicts them. Different here: the
scans that the mixes were not made of are unlabelled ones, where there are any.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import softplus

from voxfield.grading.algorithms._mixing import blend, mix, partners, pick
from voxfield.grading.algorithms.base import Algorithm, Batch, Inputs, Nets, figures, forward
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.networks.convolutional import GradeNet


@dataclass
class AdaMixUp(Algorithm):
    """AdaMixUp has no options of its own."""

    unlabelled_ratio: Annotated[int, Ge(0)] = 1

    def begin(self, labels: Labels, sizes: Sizes) -> Any:
        """Generator and discriminator."""
        dims = 0 if sizes.image is None else len(sizes.image)
        region = GradeNet(dims=dims, channels=(8, 16), features=sizes.features, hidden=16, grades=3)
        intrusion = nn.Sequential(nn.Linear(sizes.embedding, 10), nn.SiLU(), nn.Linear(10, 1))
        return nn.ModuleDict({"region": region, "intrusion": intrusion})

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        labelled, order = nets.view(batch.labelled, "strong"), partners(len(batch.labelled), nets.generator)
        other = pick(labelled, order)
        share, width = learned_shares(nets.parts["region"], labelled, other, nets.generator)
        unseen = () if batch.unlabelled is None else (nets.view(batch.unlabelled, "strong"),)
        scans, mixes, *others = forward(nets.student.embed, labelled, mix(labelled, other, share), *unseen)
        supervised = nets.label_loss(nets.student.head(scans), batch.target, labelled.rows).mean()
        target = blend(batch.target, batch.target[order], share)
        mixing = nets.label_loss(nets.student.head(mixes), target, None).mean()
        judge = nets.parts["intrusion"]
        intrusion = softplus(-judge(torch.cat([scans, *others]))).mean() + softplus(judge(mixes)).mean()
        told = figures(supervised=supervised, mixing=mixing, intrusion=intrusion, region=width.mean())
        return supervised + mixing + intrusion, told


def learned_shares(region: Any, first: Inputs, second: Inputs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A share (n,) out of the region of each pair, and the width (n,) of that region."""
    half = torch.tensor(0.5).expand(len(first))
    seen = mix(_through_noise(first, generator), _through_noise(second, generator), half)
    start, width, _ = region(seen.image, seen.features).exp().unbind(1)
    place = torch.rand(len(first), generator=generator).to(start.device)
    return start + place * width, width


def _through_noise(inputs: Inputs, generator: torch.Generator) -> Inputs:
    def times_noise(values: Tensor) -> Tensor:
        noise = nn.init.trunc_normal_(torch.empty(values.shape), generator=generator)  # cut off at 2
        return values * noise.to(values.device)

    image = None if inputs.image is None else times_noise(inputs.image)
    return Inputs(image, None if inputs.features is None else times_noise(inputs.features), inputs.rows)
