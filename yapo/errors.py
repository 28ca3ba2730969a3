"""The one exception that a user's mistake raises."""


class YapoError(Exception):
    """Bad input: the message names the file or key, the value found, and the fix.

    Stages print the message alone, without a traceback, and exit with status 2.
    """
