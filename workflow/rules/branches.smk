# What is measured on the branches of a scan, with its lumen and centerline: steps of the chain in segmentation.smk.
from voxfield.chain import Step

BRANCH_STEPS = [
    Step(
        "stenosis",
        "segmentation.stenosis",
        {
            "centerline": "sub-{subject}/centerline.swc",
            "probability": "sub-{subject}/probability.nii.gz",
            "out-stenoses": "sub-{subject}/stenoses.tsv",
            "out-metrics": "sub-{subject}/stenosis_metrics.json",
        },
    ),
]
if HAS_GRADES:
    BRANCH_STEPS.append(
        Step(
            "features",
            "grading.features",
            {"branches": "sub-{subject}/branches.tsv", "out-features": "sub-{subject}/features.tsv"},
        )
    )
