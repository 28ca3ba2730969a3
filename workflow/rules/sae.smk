if CONFIG.sae.trained:

    rule train_sae:
        input:
            rules.data.output,
            MODEL_FILES,
        output:
            [STUDY.root / "sae/layer_{layer}" / name for name in SAE_NAMES],
        log:
            STUDY.root / "logs/train_sae/layer_{layer}.log",
        wildcard_constraints:
            layer=r"\d+",
        conda:
            "../../environment.yml"
        resources:
            gpu=min(1, GPUS),
        params:
            spec=reads("train_sae"),
            python=untracked(PYTHON),
            arguments=untracked(ARGUMENTS),
        message:
            "Train the autoencoder of layer {wildcards.layer}"
        shell:
            "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.train_sae {params.arguments}"
            " discovery.layer={wildcards.layer} dspa.layer_in={wildcards.layer} dspa.layer_out={wildcards.layer}"
            " studies.dspa.layers=[] > {log} 2>&1"
