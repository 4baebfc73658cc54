# Chest CT: airway phantoms, CT simulated around labels, and the lungs of any CT. The pipeline says where labels lie:
# labels_of(subject) is a table of the files `airway`, `vessels` and `lung` (several), the latter two where there are any;
# SCANS has the files of scans and of their references, which are converted where they are no NIfTI.


rule convert_reference:
    input:
        source=lambda wildcards: f"{DATA}/{SCANS[wildcards.subject]['airway']}",
    output:
        labels="sub-{subject}/reference.nii.gz",
    log:
        "logs/sub-{subject}/io.convert_reference.log",
    params:
        **stages.params("io.convert", settings=config["reference"]),
    resources:
        **stages.resources("io.convert"),
    threads: stages.threads("io.convert")
    shell:
        stages.shell("io.convert", "source", "labels")


rule airway_phantom:
    output:
        airway="sub-{subject}/airway_true.nii.gz",
        lung="sub-{subject}/lung_true.nii.gz",
        centerline="sub-{subject}/centerline_true.swc",
        branches="sub-{subject}/branches_true.tsv",
    log:
        "logs/sub-{subject}/phantoms.airway.log",
    params:
        **stages.params("phantoms.airway"),
    resources:
        **stages.resources("phantoms.airway"),
    threads: stages.threads("phantoms.airway")
    shell:
        stages.shell("phantoms.airway", "", "airway lung centerline branches")


rule simulate:
    input:
        airway=lambda wildcards: labels_of(wildcards.subject)["airway"],
        vessels=lambda wildcards: labels_of(wildcards.subject).get("vessels", []),
        lung=lambda wildcards: labels_of(wildcards.subject).get("lung", []),
    output:
        image="sub-{subject}/ct.nii.gz",
        wall="sub-{subject}/wall.nii.gz",
        truth="sub-{subject}/simulation.json",
    log:
        "logs/sub-{subject}/phantoms.chest_ct.log",
    params:
        **stages.params("phantoms.chest_ct"),
        inputs=lambda wildcards, input: input_flags(dict(input.items())),
    resources:
        **stages.resources("phantoms.chest_ct"),
    threads: stages.threads("phantoms.chest_ct")
    shell:
        stages.shell("phantoms.chest_ct", "", "image wall truth", more="{params.inputs}")


rule lung:
    input:
        image=lambda wildcards: image_of(wildcards.subject),
    output:
        lung="sub-{subject}/lung.nii.gz",
    log:
        "logs/sub-{subject}/segmentation.lung.log",
    params:
        **stages.params("segmentation.lung"),
    resources:
        **stages.resources("segmentation.lung"),
    threads: stages.threads("segmentation.lung")
    shell:
        stages.shell("segmentation.lung", "image", "lung")
