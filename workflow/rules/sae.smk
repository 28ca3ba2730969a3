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
        threads: THREADS
        resources:
            gpu=min(1, GPUS),
        params:
            spec=reads("train_sae"),
            command=command("train_sae", for_layer, model=True),
        message:
            "Train the autoencoder of layer {wildcards.layer}"
        shell:
            "{params.command} > {log:q} 2>&1"
