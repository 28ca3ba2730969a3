ABLATION_SAES = [
    PATHS.ablation_sae(variant) / name
    for variant in CONFIG.studies.ablations.own_autoencoders
    for name in SAE_NAMES
]

if ABLATION_SAES:

    rule ablations_sae:
        input:
            rules.data.output,
            model=MODEL_FILES,
            layer=rules.layer.output.layer,
        output:
            ABLATION_SAES,
        log:
            PATHS.root / "logs/ablations_sae.log",
        threads: THREADS
        resources:
            **for_model(minutes=480),
        params:
            *settings_and_code("yapo.studies.ablations.train_sae"),
            settings=overrides_of_all,
        message:
            "Train the autoencoders of the ablations"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.ablations.train_sae {params.settings} > {log:q} 2>&1"


rule ablations_country:
    input:
        rules.data.output,
        ABLATION_SAES,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        rows=PATHS.study_rows("ablations_{method}", "{language}", "{country}"),
    log:
        PATHS.root / "logs/ablations/{language}-{country}-{method}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code_by_method("yapo.studies.ablations.run"),
        method=overrides_of_method,
        settings=overrides_of_all,
    message:
        "Ablations of {wildcards.method}: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.ablations.run {params.settings} {params.method} country={wildcards.country:q} > {log:q} 2>&1"
