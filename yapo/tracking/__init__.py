"""The MLflow view of a study.

Training jobs never import mlflow. They write files (the truth), and one ingest copies those into a database that the MLflow UI
reads, or to a server; it can be deleted at any time and made again.
"""

from yapo.tracking.places import Database, Server
from yapo.tracking.store import IngestReport, Tracker

__all__ = ["Database", "IngestReport", "Server", "Tracker"]
