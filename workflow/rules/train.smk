rule train:
    input:
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
        compared=compared_pairs,
        imported=refusing(
            lambda wildcards: imported_files(
                METHOD_CONFIG[wildcards.method], wildcards.country
            )
        ),
    output:
        vectors=country_files("train/{{method}}/{task}-{setting}.safetensors"),
        curves=PATHS.root / "{language}/{country}/train/{method}/curves.jsonl",
        run=PATHS.root / "{language}/{country}/train/{method}/run.json",
        spent=PATHS.spent("{language}", "{country}", "{method}"),
    log:
        PATHS.root / "logs/train/{language}-{country}-{method}.log",
    threads: THREADS
    resources:
        **for_model(minutes=240),
    params:
        *settings_and_code_by_method("yapo.stages.train"),
        method=overrides_of_method,
        settings=overrides_of_all,
    message:
        "Train {wildcards.method}: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.train {params.settings} {params.method} country={wildcards.country:q} > {log:q} 2>&1"
