# Velocity samples -> relative pressure.


rule pressure:
    input:
        samples="sub-{subject}/velocity_samples.safetensors",
        openings="sub-{subject}/openings.nii.gz",
    output:
        pressure="sub-{subject}/pressure.nii.gz",
        pressure_sd="sub-{subject}/pressure_sd.nii.gz",
        pressure_samples="sub-{subject}/pressure_samples.safetensors",
        drops="sub-{subject}/drops.tsv",
        metrics="sub-{subject}/pressure_summary.json",
    log:
        "logs/sub-{subject}/pde.pressure.log",
    params:
        **stages.params("pde.pressure"),
    resources:
        **stages.resources("pde.pressure"),
    threads: stages.threads("pde.pressure")
    shell:
        stages.shell(
            "pde.pressure", "samples openings", "pressure pressure_sd pressure_samples drops metrics"
        )


rule evaluate_pressure:
    input:
        drops="sub-{subject}/drops.tsv",
        truth="sub-{subject}/pressure_true.nii.gz",
        lumen="sub-{subject}/lumen_true.nii.gz",
        openings="sub-{subject}/openings.nii.gz",
    output:
        metrics="sub-{subject}/pressure_metrics.json",
    group:
        "page"
    log:
        "logs/sub-{subject}/pde.evaluate.log",
    params:
        **stages.params("pde.evaluate"),
    resources:
        **stages.resources("pde.evaluate"),
    threads: stages.threads("pde.evaluate")
    shell:
        stages.shell("pde.evaluate", "drops truth lumen openings", "metrics")
