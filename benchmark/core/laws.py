"""The check that the conformance laws of all plug-ins share."""


class LawBrokenError(AssertionError):
    """A plug-in breaks a law of its contract."""


def hold(kept: bool, law: str) -> None:
    """Raise an error if a plug-in breaks a law.

    Args:
        kept: Whether the law is kept.
        law: In words, such as ``a fit charges exactly once``.

    Raises:
        LawBrokenError: If it is not kept.
    """
    if not kept:
        raise LawBrokenError(f"The law is: {law}.")
