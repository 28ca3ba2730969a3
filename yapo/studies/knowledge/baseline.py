"""Stage ``knowledge_baseline``: general knowledge of the unsteered model, and the study's own questions for lm-eval."""

from __future__ import annotations

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import require_extra
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format

READS = ("prompts", "model", "knowledge")


def main(config: Config) -> None:
    """Write ``knowledge/tasks/`` and ``knowledge/baseline.parquet``, with the rows of ``Questions.ask``."""
    require_extra("knowledge", "lm_eval")  # before the imports that need it
    from yapo.studies.knowledge.steered_lm import SteeredLM
    from yapo.studies.knowledge.tasks import Questions, write_culture_tasks

    paths = Paths.of(config)
    folder = paths.root / "knowledge"
    items = read_table(paths.items).merge(read_table(paths.split), on="question_id")
    asked = items["country"].isin(countries_of(config, known_countries(config.data)))
    tested = (items["split"] == "test") & (items["variant"] == "localized")
    write_culture_tasks(folder / "tasks", items[asked & tested], prompt_format(config))
    questions = Questions(config.knowledge, folder / "tasks")
    model = SteeredLM(load_language_model(config.model), batch_size=config.knowledge.batch_size)
    write_parquet(folder / "baseline.parquet", questions.ask(model))


if __name__ == "__main__":
    run(main)
