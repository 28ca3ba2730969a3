"""Vectors that need no autoencoder."""

from yapo.studies.base import Study, table_files

STUDY = Study(title="Free-standing vectors", files=table_files("portable"), rows=[], kind="features")
