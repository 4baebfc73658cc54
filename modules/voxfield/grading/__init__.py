"""Severity grades from few labels: calibrated, in contiguous conformal sets, everything decided by patient.

Files with an underscore hold one stage each; the others are what the stages are made of:

    scans, inputs  files, scans and tables to network inputs; `rows` are those of a cohort
    screening      images that are shown twice, or are none
    splits, study  who trains, validates, calibrates, tests
    augment        weak and strong views
    trainer        the one training loop, and `schedule`, its pace
    components     what algorithms and label losses have in common
    algorithms/    what is learnt from a batch, by name
    losses/        what a labelled row costs, by name
    networks/      networks and heads, by name; `start` takes over the weights of a model
    pretraining/   self-supervision on images without grades
    fitting        from a study to a grader, which `judging` calibrates and judges
    calibration    temperature
    conformal      contiguous sets and their coverage; `conformal_predictor` is what a grader keeps of them
    covariate_shift  thresholds for another site
    familiarity    is a scan like those of the training?
    examples       which of them is it most like?
    saliency       what in a scan made its grade, and `overlay`, a picture of that
    metrics/       scores, patient bootstrap, report card
    anatomy        features of a vessel tree
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.grading._adapt import adapt as adapt
    from voxfield.grading._choose import choose as choose
    from voxfield.grading._compare import compare as compare
    from voxfield.grading._evaluate import evaluate as evaluate
    from voxfield.grading._explain import explain as explain
    from voxfield.grading._features import features as features
    from voxfield.grading._predict import predict as predict
    from voxfield.grading._pretrain import pretrain as pretrain
    from voxfield.grading._split import split as split
    from voxfield.grading._train import train as train

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "adapt": "_adapt",
        "choose": "_choose",
        "compare": "_compare",
        "evaluate": "_evaluate",
        "explain": "_explain",
        "features": "_features",
        "predict": "_predict",
        "pretrain": "_pretrain",
        "split": "_split",
        "train": "_train",
    },
)
