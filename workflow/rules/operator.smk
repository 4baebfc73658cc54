# A Darcy problem -> pairs to train on and pairs on another grid -> operator -> its certified predictions. The pipeline
# says what there is: DARCY, the problem file, OWN_PAIRS, files instead of drawn ones, and OPERATOR, the model's name.


def learnt_from(name):
    """Inputs or solutions that the operator is trained on."""
    return OWN_PAIRS.get(name, f"pairs/train/{name}.safetensors")


rule operator_pairs:
    input:
        problem=str(DARCY),
    output:
        inputs="pairs/{subject}/inputs.safetensors",
        solutions="pairs/{subject}/solutions.safetensors",
    log:
        "logs/{subject}/pde.operator_pairs.log",
    params:
        **{
            **stages.params("pde.operator_pairs"),
            "settings": lambda wildcards: stages.flags(
                {**config["pairs"][wildcards.subject], **stages.settings.get("pde.operator_pairs", {})}
            ),
        },
    resources:
        **stages.resources("pde.operator_pairs"),
    threads: stages.threads("pde.operator_pairs")
    shell:
        stages.shell("pde.operator_pairs", "problem", "inputs solutions")


rule operator_train:
    input:
        problem=str(DARCY),
        inputs=learnt_from("inputs"),
        solutions=learnt_from("solutions"),
        test_inputs="pairs/test/inputs.safetensors",
        test_solutions="pairs/test/solutions.safetensors",
    output:
        model=OPERATOR,
        metrics="operator/training.json",
    log:
        "logs/pde.operator_train.log",
    params:
        **stages.params("pde.operator_train"),
    resources:
        **stages.resources("pde.operator_train"),
    threads: stages.threads("pde.operator_train")
    shell:
        stages.shell(
            "pde.operator_train",
            "problem inputs solutions test_inputs test_solutions",
            "model metrics",
            subject="",
        )


rule operator_predict:
    input:
        model=OPERATOR,
        inputs="pairs/test/inputs.safetensors",
        known="pairs/test/solutions.safetensors",
    output:
        solutions="operator/solutions.safetensors",
        learned="operator/learned.safetensors",
        samples="operator/samples.tsv",
        metrics="operator/prediction.json",
        picture="operator/prediction.png",
    log:
        "logs/pde.operator_predict.log",
    params:
        **stages.params("pde.operator_predict"),
    resources:
        **stages.resources("pde.operator_predict"),
    threads: stages.threads("pde.operator_predict")
    shell:
        stages.shell(
            "pde.operator_predict",
            "model inputs known",
            "solutions learned samples metrics picture",
            subject="",
        )
