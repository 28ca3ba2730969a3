"""What people ask for. Every kept file is named, so that a lost intermediate is noticed and made again."""


rule all_tables:
    input:
        [kept_files(country) for country in COUNTRIES],
        rules.tables.output,
        rules.figures.output,
        rules.mlflow.output,
    message:
        f"Done: {PATHS.root}/tables and {PATHS.root}/figures"


for country in COUNTRIES:

    rule:
        name:
            f"country_{country}"
        input:
            kept_files(country),
        message:
            f"Done: {PATHS.country(COUNTRIES[country], country)}"


rule study:
    default_target: True
    input:
        getattr(rules, OPTIONS.study).input,
    message:
        f"Done: {OPTIONS.study}"


try:
    check_targets(
        command_line_targets(),
        [rule.name for rule in workflow.rules],
        lambda path: Path(path).exists()
        or any(rule.is_producer(path) for rule in workflow.rules),
        [*COUNTRIES, *set(COUNTRIES.values()), *METHODS, CONFIG.experiment],
    )
except YapoError as error:
    refuse(error)
