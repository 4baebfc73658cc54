# Velocity samples -> relative pressure.


rule pressure:
    input:
        velocity="sub-{subject}/velocity_samples.safetensors",
        openings="sub-{subject}/openings.nii.gz",
    output:
        pressure="sub-{subject}/pressure.nii.gz",
        sd="sub-{subject}/pressure_sd.nii.gz",
        samples="sub-{subject}/pressure_samples.safetensors",
        drops="sub-{subject}/drops.tsv",
        metrics="sub-{subject}/pressure.json",
    log:
        "logs/sub-{subject}/pde.pressure.log",
    params:
        **stages.params("pde.pressure"),
    resources:
        **stages.resources("pde.pressure"),
    shell:
        stages.shell("pde.pressure", "velocity openings", "pressure sd samples drops metrics")
