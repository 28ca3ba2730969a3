from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/sae.smk"
include: "workflow/rules/layer.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/adapters.smk"
include: "workflow/rules/portable.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/tracking.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/curate.smk"
include: "workflow/rules/targets.smk"


# Here, for Snakemake takes no default target from a file that is included.
rule study:
    default_target: True
    input:
        getattr(rules, OPTIONS.study).input,
    message:
        f"Done: {OPTIONS.study}"


include: "workflow/rules/command_line.smk"
