"""The same models and methods on preference files: a behaviour stands where a country does."""

from functools import partial

from yapo.data.behaviours import LANGUAGE as BEHAVIOURS

BEHAVIOUR_OVERRIDES = replace_overrides(
    OVERRIDES,
    [
        "data=preferences",
        "data.source=preferences",
        f"data.path={CONFIG.studies.behaviours.folder}",
        "countries=[]",
        "tasks=[open_ended]",
        "settings=[both]",
        *CONFIG.studies.behaviours.overrides,
    ],
)
BEHAVIOUR = PATHS.root / BEHAVIOURS / "{behaviour}"
BEHAVIOUR_LOGS = PATHS.root / "logs/behaviours"

with one_line_refusals():
    BEHAVIOUR_CONFIG = compose(BEHAVIOUR_OVERRIDES)
    BEHAVIOUR_FOLDER_KEY = (
        "studies.behaviours.folder"
        if BEHAVIOUR_CONFIG.data.path == CONFIG.studies.behaviours.folder
        else "data.path"
    )
    # Without the folder all else still runs; only what asks for a behaviour is refused.
    BEHAVIOUR_NAMES = (
        sorted(known_countries(BEHAVIOUR_CONFIG.data, BEHAVIOUR_FOLDER_KEY))
        if Path(BEHAVIOUR_CONFIG.data.path).is_dir()
        else []
    )
    if (
        BEHAVIOUR_CONFIG.discovery.layer is None
        and BEHAVIOUR_CONFIG.model != CONFIG.model
    ):
        raise YapoError(
            f"studies.behaviours.overrides={CONFIG.studies.behaviours.overrides}: another model needs its own discovery.layer"
        )
    BEHAVIOUR_WEIGHTS = [*model_files(BEHAVIOUR_CONFIG), *sae_files(BEHAVIOUR_CONFIG)]


wildcard_constraints:
    behaviour=alternatives(BEHAVIOUR_NAMES),


# A preference pair has no form that names its country: methods that contrast prompts contrast answers here.
METHOD_OF_BEHAVIOURS = {
    method: [
        *OPTIONS.of_method(method),
        *(
            ["method.options.contrast=answer"]
            if "contrast" in config["method"]["options"]
            else []
        ),
    ]
    for method, config in METHOD_CONFIG.items()
}
BEHAVIOUR_METHOD_CONFIG = {
    method: plain(compose([*BEHAVIOUR_OVERRIDES, *own]))
    for method, own in METHOD_OF_BEHAVIOURS.items()
}
BEHAVIOUR_MODELS = [
    *BEHAVIOUR_WEIGHTS,
    *(rules.layer.output if BEHAVIOUR_CONFIG.discovery.layer is None else []),
    *(TRAINED_SAES if BEHAVIOUR_CONFIG.sae.trained else []),
    *DOWNLOADED,
]


behaviours = partial(known_countries, BEHAVIOUR_CONFIG.data, BEHAVIOUR_FOLDER_KEY)
REPORTS["behaviours"].update(
    rows=behaviour_files(behaviours, BEHAVIOUR / "evaluation.parquet"),
    config=plain(BEHAVIOUR_CONFIG),
    settings=shlex.join(BEHAVIOUR_OVERRIDES),
    pages=behaviour_files(
        behaviours,
        BEHAVIOUR / "vectors/{method}/open_ended-both.safetensors",
        method=METHODS,
    ),
)


rule behaviour_prepare:
    input:
        BEHAVIOUR_MODELS,
        preferences=refusing(
            lambda wildcards: files_in(
                f"{BEHAVIOUR_CONFIG.data.path}/{wildcards.behaviour}", "t*"
            )
        ),
    output:
        pairs=BEHAVIOUR / "pairs/open_ended.parquet",
        test=BEHAVIOUR / "pairs/test.parquet",
        counts=BEHAVIOUR / "pairs/open_ended.json",
        store=temp_unless_kept(BEHAVIOUR / "prepared/open_ended.safetensors"),
    log:
        BEHAVIOUR_LOGS / "prepare-{behaviour}.log",
    threads: THREADS
    resources:
        **for_model(minutes=60),
    params:
        *settings_and_code(
            "yapo.studies.behaviours.prepare", REPORTS["behaviours"]["config"]
        ),
        settings=lambda wildcards, threads: shlex.join(BEHAVIOUR_OVERRIDES),
    message:
        "Preference pairs and activations: {wildcards.behaviour}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.behaviours.prepare {params.settings} country={wildcards.behaviour:q} > {log:q} 2>&1"


rule behaviour_train:
    input:
        BEHAVIOUR_MODELS,
        pairs=rules.behaviour_prepare.output.pairs,
        store=rules.behaviour_prepare.output.store,
    output:
        vectors=BEHAVIOUR / "train/{method}/open_ended-both.safetensors",
        curves=BEHAVIOUR / "train/{method}/curves.jsonl",
        run=BEHAVIOUR / "train/{method}/run.json",
    log:
        BEHAVIOUR_LOGS / "train-{behaviour}-{method}.log",
    threads: THREADS
    resources:
        **for_model(minutes=120),
    params:
        *settings_and_code_by_method("yapo.stages.train", BEHAVIOUR_METHOD_CONFIG),
        method=lambda wildcards: shlex.join(METHOD_OF_BEHAVIOURS[wildcards.method]),
        settings=lambda wildcards, threads: shlex.join(BEHAVIOUR_OVERRIDES),
    message:
        "Train {wildcards.method}: {wildcards.behaviour}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.train {params.settings} {params.method} country={wildcards.behaviour:q} > {log:q} 2>&1"


rule behaviour_evaluate:
    input:
        BEHAVIOUR_MODELS,
        pairs=rules.behaviour_prepare.output.pairs,
        test=rules.behaviour_prepare.output.test,
        vectors=expand(
            str(BEHAVIOUR / "train/{method}/open_ended-both.safetensors"),
            method=METHODS,
            allow_missing=True,
        ),
    output:
        vectors=expand(
            str(BEHAVIOUR / "vectors/{method}/open_ended-both.safetensors"),
            method=METHODS,
            allow_missing=True,
        ),
        validation=BEHAVIOUR / "validation.parquet",
        evaluation=BEHAVIOUR / "evaluation.parquet",
        judge=BEHAVIOUR / "judge.json",
    log:
        BEHAVIOUR_LOGS / "evaluate-{behaviour}.log",
    threads: THREADS
    resources:
        **for_model(minutes=240),
    params:
        *settings_and_code(
            "yapo.studies.behaviours.evaluate", REPORTS["behaviours"]["config"]
        ),
        settings=lambda wildcards, threads: shlex.join(BEHAVIOUR_OVERRIDES),
    message:
        "Select on validation and test at both signs: {wildcards.behaviour}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.behaviours.evaluate {params.settings} country={wildcards.behaviour:q} > {log:q} 2>&1"
