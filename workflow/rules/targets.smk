"""What people ask for. Every kept file is named, so that a lost intermediate is noticed and made again."""

import contextlib


rule all_tables:
    input:
        [kept_files(country) for country in COUNTRIES],
        rules.tables.output,
        rules.figures.output,
        rules.mlflow.output,
    message:
        f"Done: {STUDY.root}/tables and {STUDY.root}/figures"


for country in COUNTRIES:

    rule:
        name:
            f"country_{country}"
        input:
            kept_files(country),
        message:
            f"Done: {STUDY.country(COUNTRIES[country], country)}"


rule study:
    default_target: True
    input:
        getattr(rules, OPTIONS.study).input,
    message:
        f"Done: {OPTIONS.study}"


def asked_for():
    """The targets of the command line. They are not known while this file is read, so a doubtful command is parsed again."""
    names = {rule.name for rule in workflow.rules}
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    doubtful = [word for word in words if word not in names and not word.isdigit()]
    if not doubtful or not re.search(r"snakemake(/__main__\.py)?$", sys.argv[0]):
        return []
    from snakemake.cli import parse_args

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        _, arguments = parse_args(sys.argv[1:])
    return [*arguments.targets, *(arguments.forcerun or [])]


try:
    check_targets(
        asked_for(),
        [rule.name for rule in workflow.rules],
        lambda path: Path(path).exists()
        or any(rule.is_producer(path) for rule in workflow.rules),
        [*COUNTRIES, *set(COUNTRIES.values()), *METHODS, CONFIG.experiment],
    )
except YapoError as error:
    refuse(error)
