"""The MLflow view of a study.

Training jobs never import mlflow. They write files (the truth), and one ingest copies those into a database that the MLflow UI
reads; it can be deleted at any time and made again.
"""

from yapo.tracking.store import IngestReport, Tracker, ingest, ingest_or_warn

__all__ = ["IngestReport", "Tracker", "ingest", "ingest_or_warn"]
