rule evaluate:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=country_files(
            "train/{method}/{task}-{setting}.safetensors", method=METHODS
        ),
    output:
        vectors=country_files(
            "vectors/{method}/{task}-{setting}.safetensors", method=METHODS
        ),
        validation=PATHS.root / "{language}/{country}/validation.parquet",
        evaluation=[PATHS.root / "{language}/{country}" / name for name in EVALUATIONS],
        judge=PATHS.root / "{language}/{country}/judge.json",
    log:
        PATHS.root / "logs/evaluate/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=1440),
    params:
        *settings_and_code("yapo.stages.evaluate"),
        settings=overrides_of_all,
    message:
        "Select on validation and test: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.evaluate {params.settings} country={wildcards.country:q} > {log:q} 2>&1"


if TEST_ONLY:

    rule evaluate_test_set:
        input:
            rules.data.output,
            model=MODEL_FILES,
            sae=SAE_FILES,
            layer=rules.layer.output.layer,
            vectors=refusing(
                lambda wildcards: imported_files(
                    METHOD_CONFIG["imported"], wildcards.country
                )
            ),
        output:
            vectors=country_files(
                "vectors/{method}/{task}-{setting}.safetensors", method=METHODS
            ),
            evaluation=[
                PATHS.root / "{language}/{country}" / name for name in EVALUATIONS
            ],
            judge=PATHS.root / "{language}/{country}/judge.json",
        log:
            PATHS.root / "logs/evaluate/{language}-{country}.log",
        threads: THREADS
        resources:
            **for_model(minutes=1440),
        params:
            *settings_and_code(
                "yapo.stages.evaluate_test_set", METHOD_CONFIG["imported"]
            ),
            method=lambda wildcards: OVERRIDES_OF["imported"],
            settings=overrides_of_all,
        message:
            "Evaluate on a test set: {wildcards.country}"
        shell:
            "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.evaluate_test_set {params.settings} {params.method} country={wildcards.country:q} > {log:q} 2>&1"

    ruleorder: evaluate_test_set > evaluate
