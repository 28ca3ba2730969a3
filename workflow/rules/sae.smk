if CONFIG.sae.trained:

    rule train_sae:
        input:
            rules.data.output,
            model=MODEL_FILES,
        output:
            [PATHS.root / "sae/layer_{layer}" / name for name in SAE_NAMES],
        log:
            PATHS.root / "logs/train_sae/layer_{layer}.log",
        wildcard_constraints:
            layer=r"\d+",
        threads: THREADS
        resources:
            **for_model(minutes=480),
        params:
            *settings_and_code("yapo.stages.train_sae"),
            settings=overrides_of_all,
        message:
            "Train the autoencoder of layer {wildcards.layer}"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.train_sae {params.settings} 'sae.layers=[{wildcards.layer}]' > {log:q} 2>&1"
