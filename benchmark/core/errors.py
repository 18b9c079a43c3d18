"""Errors that a user can mend: one sentence each: the thing, the value, the law, the remedy."""


class BenchError(Exception):
    """The root: the command line prints its message alone and exits with 2."""


class UsageError(BenchError, ValueError):
    """An option, name or value that cannot be meant."""


class PlugInError(UsageError):
    """A plug-in that cannot be imported or breaks its contract; others can still be used."""


class DataError(BenchError, ValueError):
    """A file or a cohort that cannot be used as it is."""


class NotLearntError(BenchError, RuntimeError):
    """A segmenter that learnt nothing from its patches, so that it judges nobody."""


class NotFittedError(BenchError, RuntimeError):
    """A plug-in was asked for samples or predictions before ``fit``."""
