"""Anatomy from scans, with its topology intact.

A network learns from masks in which only some slices need to be annotated (`train`) and segments whole scans on their
own grid (`predict`); `pretrain` gives it a start from scans that nobody annotated, and `compare` says which of several
ways of training is better here, if any is. The result is then mended into trees without cavities, every bridge listed
(`repair`), reduced to lines in millimetres with radii, branches and openings (`centerline`) and to degrees of narrowing
(`stenosis`), and compared with a reference (`evaluate`), scan by scan and as a cohort (`summarise`). `lung` makes the
lung mask that airway networks want; `annotate` draws the sparse masks of phantoms and demonstrations; `from_slices`
fills in what lies between drawn slices from their shape alone; `embed` makes points of a cohort's shapes.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.segmentation._annotate import annotate as annotate
    from voxfield.segmentation._centerline import centerline as centerline
    from voxfield.segmentation._compare import compare as compare
    from voxfield.segmentation._embed import embed as embed
    from voxfield.segmentation._evaluate import evaluate as evaluate
    from voxfield.segmentation._from_slices import from_slices as from_slices
    from voxfield.segmentation._lung import lung as lung
    from voxfield.segmentation._predict import predict as predict
    from voxfield.segmentation._pretrain import pretrain as pretrain
    from voxfield.segmentation._repair import repair as repair
    from voxfield.segmentation._stenosis import stenosis as stenosis
    from voxfield.segmentation._summarise import summarise as summarise
    from voxfield.segmentation._train import train as train

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "annotate": "_annotate",
        "centerline": "_centerline",
        "compare": "_compare",
        "embed": "_embed",
        "evaluate": "_evaluate",
        "from_slices": "_from_slices",
        "lung": "_lung",
        "predict": "_predict",
        "pretrain": "_pretrain",
        "repair": "_repair",
        "stenosis": "_stenosis",
        "summarise": "_summarise",
        "train": "_train",
    },
)
