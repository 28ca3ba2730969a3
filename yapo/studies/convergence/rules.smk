rule convergence_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        rows=PATHS.study_rows("convergence_{method}", "{language}", "{country}"),
    log:
        PATHS.root / "logs/convergence/{language}-{country}-{method}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code_by_method("yapo.studies.convergence.run"),
        method=overrides_of_method,
        settings=overrides_of_all,
    message:
        "Convergence of {wildcards.method}: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.convergence.run {params.settings} {params.method} country={wildcards.country:q} > {log:q} 2>&1"
