"""Errors that a user can fix.

Each message is one sentence: the thing, the value, the law, the remedy.
"""


class BenchError(Exception):
    """The root of all errors below. The command line prints its message alone and exits with 2."""


class UsageError(BenchError, ValueError):
    """An option, a name or a value that is not allowed. It is a ``ValueError`` too."""


class PlugInError(UsageError):
    """A plug-in that cannot be imported or breaks its contract; others can still be used."""


class DataError(BenchError, ValueError):
    """A file or a cohort that cannot be used as it is."""


class NotLearntError(BenchError, RuntimeError):
    """A segmenter learnt nothing from its patches, so its scores would mean nothing."""


class NotFittedError(BenchError, RuntimeError):
    """A plug-in was asked for samples or predictions before ``fit``."""
