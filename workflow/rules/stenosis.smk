# Centerline and probability -> how narrow each vessel is.


rule stenosis:
    input:
        centerline="sub-{subject}/centerline.swc",
        segmented=lambda wildcards: SEGMENTED.manifest(wildcards.subject),
    output:
        stenoses="sub-{subject}/stenoses.tsv",
        metrics="sub-{subject}/stenosis_metrics.json",
    group:
        "scan"
    log:
        "logs/sub-{subject}/segmentation.stenosis.log",
    params:
        **stages.params("segmentation.stenosis"),
    resources:
        **stages.resources("segmentation.stenosis"),
    threads: stages.threads("segmentation.stenosis")
    shell:
        stages.shell(
            "segmentation.stenosis",
            "centerline",
            "stenoses metrics",
            more="--probability sub-{wildcards.subject}/probability.nii.gz",
        )
