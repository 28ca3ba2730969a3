"""Steering vectors to and from the files of other tools: ``yapo.exchange.export`` and ``yapo.exchange.importing``."""
