"""The small study under fire: ``make chaos``. Not a part of the tests that run by default."""
