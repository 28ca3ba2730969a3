from yapo.data.behaviours import LANGUAGE as BEHAVIOURS

# The same models and methods on preference files; a behaviour stands where a country does.
BEHAVIOUR_OVERRIDES = on_top(
    OVERRIDES,
    [
        "data=preferences",
        f"data.path={CONFIG.studies.behaviours.folder}",
        "countries=[]",
        "tasks=[open_ended]",
        "settings=[both]",
        *CONFIG.studies.behaviours.overrides,
    ],
)
BEHAVIOUR_ARGUMENTS = shlex.join(BEHAVIOUR_OVERRIDES)
BEHAVIOUR = STUDY.root / BEHAVIOURS / "{behaviour}"
BEHAVIOUR_LOGS = STUDY.root / "logs/behaviours"


def behaviour_method(method):
    """Overrides of one method's training. A preference pair has no form that names its country: contrast its answers."""
    own = [f"method={method}", *OWN_OVERRIDES.get(method, [])]
    if "contrast" not in METHOD_CONFIG[method]["method"]["options"]:
        return own
    return on_top(own, ["method.options.contrast=answer"])


try:
    BEHAVIOUR_CONFIG = compose(BEHAVIOUR_OVERRIDES)
    BEHAVIOUR_NAMES = sorted(known_countries(BEHAVIOUR_CONFIG.data))
    BEHAVIOUR_METHODS = {
        method: plain(compose(on_top(BEHAVIOUR_OVERRIDES, behaviour_method(method))))
        for method in METHODS
    }
    if (
        BEHAVIOUR_CONFIG.discovery.layer is None
        and BEHAVIOUR_CONFIG.model != CONFIG.model
    ):
        raise YapoError(
            f"studies.behaviours.overrides={CONFIG.studies.behaviours.overrides}: another model needs its own discovery.layer"
        )
except YapoError as error:
    sys.exit(f"error: {error}")


wildcard_constraints:
    behaviour="|".join(BEHAVIOUR_NAMES),


def behaviour_reads(stage):
    """See ``reads``."""
    text = spec(stage, plain(BEHAVIOUR_CONFIG))
    return lambda wildcards: text


BEHAVIOUR_MODELS = [
    *model_files(BEHAVIOUR_CONFIG),
    *sae_files(BEHAVIOUR_CONFIG),
    *(rules.layer.output if BEHAVIOUR_CONFIG.discovery.layer is None else []),
    *(TRAINED_SAES if BEHAVIOUR_CONFIG.sae.trained else []),
    *DOWNLOADED,
]


rule behaviour_prepare:
    input:
        BEHAVIOUR_MODELS,
        lambda wildcards: local_files(
            f"{BEHAVIOUR_CONFIG.data.path}/{wildcards.behaviour}", "t*"
        ),
    output:
        pairs=BEHAVIOUR / "pairs/open_ended.parquet",
        test=BEHAVIOUR / "pairs/test.parquet",
        counts=BEHAVIOUR / "pairs/open_ended.json",
        store=keep(BEHAVIOUR / "prepared/open_ended.safetensors"),
    log:
        BEHAVIOUR_LOGS / "prepare-{behaviour}.log",
    benchmark:
        STUDY.root / "benchmarks/behaviours/prepare-{behaviour}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=behaviour_reads("behaviour_prepare"),
        python=untracked(PYTHON),
        arguments=untracked(BEHAVIOUR_ARGUMENTS),
    message:
        "Preference pairs and activations: {wildcards.behaviour}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.stages.behaviour_prepare {params.arguments}"
        " country={wildcards.behaviour} > {log} 2>&1"


rule behaviour_train:
    input:
        BEHAVIOUR_MODELS,
        pairs=rules.behaviour_prepare.output.pairs,
        store=rules.behaviour_prepare.output.store,
    output:
        BEHAVIOUR / "train/{method}/open_ended-both.safetensors",
        curves=BEHAVIOUR / "train/{method}/curves.jsonl",
        run=BEHAVIOUR / "train/{method}/run.json",
    log:
        BEHAVIOUR_LOGS / "train-{behaviour}-{method}.log",
    benchmark:
        STUDY.root / "benchmarks/behaviours/train-{behaviour}-{method}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("train", BEHAVIOUR_METHODS[wildcards.method]),
        python=untracked(PYTHON),
        arguments=untracked(BEHAVIOUR_ARGUMENTS),
        method=lambda wildcards, threads: shlex.join(behaviour_method(wildcards.method)),
    message:
        "Train {wildcards.method}: {wildcards.behaviour}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.stages.train {params.arguments} {params.method}"
        " country={wildcards.behaviour} > {log} 2>&1"


rule behaviour_evaluate:
    input:
        BEHAVIOUR_MODELS,
        rules.behaviour_prepare.output.pairs,
        rules.behaviour_prepare.output.test,
        expand(
            str(BEHAVIOUR / "train/{method}/open_ended-both.safetensors"),
            method=METHODS,
            allow_missing=True,
        ),
    output:
        expand(
            str(BEHAVIOUR / "vectors/{method}/open_ended-both.safetensors"),
            method=METHODS,
            allow_missing=True,
        ),
        validation=BEHAVIOUR / "validation.parquet",
        evaluation=BEHAVIOUR / "evaluation.parquet",
        judge=BEHAVIOUR / "judge.json",
    log:
        BEHAVIOUR_LOGS / "evaluate-{behaviour}.log",
    benchmark:
        STUDY.root / "benchmarks/behaviours/evaluate-{behaviour}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=behaviour_reads("behaviour_evaluate"),
        python=untracked(PYTHON),
        arguments=untracked(BEHAVIOUR_ARGUMENTS),
    message:
        "Select on validation and test at both signs: {wildcards.behaviour}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.stages.behaviour_evaluate {params.arguments}"
        " country={wildcards.behaviour} > {log} 2>&1"


rule behaviours_table:
    input:
        expand(
            rules.behaviour_evaluate.output.evaluation,
            behaviour=BEHAVIOUR_NAMES,
        ),
    output:
        expand(
            str(STUDY.root / "tables/behaviours.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(str(STUDY.root / "figures/behaviours.{kind}"), kind=["svg", "png"]),
        finding=STUDY.finding("behaviours"),
    log:
        STUDY.root / "logs/behaviours_table.log",
    conda:
        "../../environment.yml"
    params:
        spec=behaviour_reads("behaviours_table"),
        python=untracked(PYTHON),
        arguments=untracked(BEHAVIOUR_ARGUMENTS),
    message:
        "Table of behaviours"
    shell:
        "{params.python} -m yapo.stages.behaviours_table {params.arguments} > {log} 2>&1"


rule behaviours:
    input:
        rules.behaviours_table.output,
        expand(
            str(BEHAVIOUR / "vectors/{method}/open_ended-both.safetensors"),
            behaviour=BEHAVIOUR_NAMES,
            method=METHODS,
        ),
    message:
        f"Done: {STUDY.root}/tables/behaviours.md"
