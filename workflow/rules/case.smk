# One subject out of a foreign file: converted, resampled nowhere, and annotated on a few slices.


rule convert:
    input:
        source=f"{config['data']}/{CASE['file']}",
    output:
        image="sub-{subject}/angiogram.nii.gz",
        velocity="sub-{subject}/velocity_measured.nii.gz",
        **({"labels": "sub-{subject}/labels.nii.gz"} if CASE["annotation"] == "labels" else {}),
    log:
        "logs/sub-{subject}/io.convert.log",
    params:
        **stages.params("io.convert"),
    resources:
        **stages.resources("io.convert"),
    threads: stages.threads("io.convert")
    shell:
        stages.shell(
            "io.convert",
            "source",
            "image velocity" + (" labels" if CASE["annotation"] == "labels" else ""),
        )


rule annotate:
    input:
        image="sub-{subject}/angiogram.nii.gz",
        **({"dense": "sub-{subject}/labels.nii.gz"} if CASE["annotation"] == "labels" else {}),
    output:
        annotation="sub-{subject}/annotation.nii.gz",
    log:
        "logs/sub-{subject}/segmentation.annotate.log",
    params:
        **stages.params("segmentation.annotate"),
    resources:
        **stages.resources("segmentation.annotate"),
    threads: stages.threads("segmentation.annotate")
    shell:
        stages.shell(
            "segmentation.annotate",
            "image" + (" dense" if CASE["annotation"] == "labels" else ""),
            "annotation",
        )


if CASE["truth"]:

    rule convert_truth:
        input:
            source=f"{config['data']}/{CASE['truth']}",
        output:
            velocity="sub-{subject}/velocity_true.nii.gz",
            labels="sub-{subject}/lumen_true.nii.gz",
        log:
            "logs/sub-{subject}/io.convert_truth.log",
        params:
            **stages.params("io.convert"),
        resources:
            **stages.resources("io.convert"),
        threads: stages.threads("io.convert")
        shell:
            stages.shell("io.convert", "source", "velocity labels")
