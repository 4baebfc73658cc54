# Synthetic subjects with exact truth, and a geometry-only cohort for grading.


rule phantom:
    output:
        angiogram="sub-{subject}/angiogram.nii.gz",
        lumen="sub-{subject}/lumen_true.nii.gz",
        sparse="sub-{subject}/annotation.nii.gz",
        velocity="sub-{subject}/velocity_measured.nii.gz",
        velocity_true="sub-{subject}/velocity_true.nii.gz",
        pressure_true="sub-{subject}/pressure_true.nii.gz",
        truth="sub-{subject}/truth.json",
    log:
        "logs/sub-{subject}/phantoms.vessel.log",
    params:
        **stages.params("phantoms.vessel"),
    resources:
        **stages.resources("phantoms.vessel"),
    threads: stages.threads("phantoms.vessel")
    shell:
        stages.shell(
            "phantoms.vessel", "", "angiogram lumen sparse velocity velocity_true pressure_true truth"
        )
