if WANTED:

    rule download:
        output:
            STUDY.download,
        log:
            STUDY.root / "logs/download.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            wanted=lambda wildcards: json.dumps(WANTED, sort_keys=True),
            python=untracked(PYTHON),
            arguments=untracked(ARGUMENTS),
        message:
            "Download from the hub: {params.wanted}"
        shell:
            "{params.python} -m yapo.warm -m yapo.stages.download {params.arguments} > {log} 2>&1"
