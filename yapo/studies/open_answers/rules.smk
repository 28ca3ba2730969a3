from dataclasses import asdict

from yapo.config import JUDGE_MEANS
from yapo.studies.open_answers import SHEET
from yapo.studies.open_answers.second_judge import second_judge

with one_line_refusals():
    SECOND_JUDGE = {
        name: value
        for name, value in asdict(second_judge(CONFIG)).items()
        if name not in JUDGE_MEANS
    }


# Files that settings name; one that is missing is refused by the job that reads it.
OPEN_ANSWERS = CONFIG.studies.open_answers
REPORTS["open_answers"]["inputs"] = refusing(
    lambda wildcards: [
        file
        for path in [OPEN_ANSWERS.caricatures, *OPEN_ANSWERS.human_sheets]
        for file in files_in(path, "*")
    ]
)


rule open_answers_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=chosen_vectors(get_study("open_answers").vector_keys(CONFIG)),
    output:
        rows=PATHS.study_rows("open_answers", "{language}", "{country}"),
        judges=PATHS.study_rows("open_answers", "{language}", "{country}").with_suffix(
            ".json"
        ),
    log:
        PATHS.root / "logs/open_answers/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.open_answers.run"),
        second_judge=constant(f"second judge = {SECOND_JUDGE}"),
        settings=overrides_of_all,
    message:
        "Sampled open answers: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.open_answers.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"


rule human_sheet:
    input:
        refuse_unless_possible(["open_answers"], REPORTS["open_answers"]["rows"]),
    output:
        PATHS.root / SHEET,
    log:
        PATHS.root / "logs/human_sheet.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.studies.open_answers.export_sheet"),
        settings=overrides_of_all,
    message:
        f"Done: {PATHS.root / SHEET}"
    shell:
        "python -m yapo.warm -m yapo.studies.open_answers.export_sheet {params.settings} > {log:q} 2>&1"
