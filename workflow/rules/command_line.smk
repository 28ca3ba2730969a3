"""Refuses targets that nothing makes. Last, for it needs to know every rule."""


def command_line_targets():
    """The targets of the command line. They are not known while this file is read, so a doubtful command is parsed again."""
    names = {rule.name for rule in workflow.rules}
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    doubtful = [word for word in words if word not in names and not word.isdigit()]
    if not doubtful or not re.search(r"snakemake(/__main__\.py)?$", sys.argv[0]):
        return []
    from snakemake.cli import parse_args

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        _, arguments = parse_args(sys.argv[1:])
    chosen = (arguments.forcerun, arguments.until, arguments.omit_from)
    return [*arguments.targets, *(name for names in chosen for name in names or [])]


with one_line_refusals():
    check_targets(
        command_line_targets(),
        [rule.name for rule in workflow.rules],
        lambda path: Path(path).exists()
        or any(rule.is_producer(path) for rule in workflow.rules),
        [*COUNTRIES, *set(COUNTRIES.values()), *METHODS, CONFIG.experiment],
    )
