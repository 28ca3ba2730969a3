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
include: "workflow/rules/portable.smk"
include: "workflow/rules/knowledge.smk"
include: "workflow/rules/lambda_sweep.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/behaviours_common.smk"
include: "workflow/rules/behaviours.smk"
include: "workflow/rules/convergence.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/dspa_study.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/tracking.smk"
include: "workflow/rules/page.smk"
include: "workflow/rules/targets.smk"
