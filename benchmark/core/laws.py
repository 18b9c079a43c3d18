"""What the conformance checks of plug-ins share."""


class LawBrokenError(AssertionError):
    """A plug-in breaks a law of its contract."""


def hold(kept: bool, law: str) -> None:
    """Raises ``LawBrokenError`` with the law unless it is kept."""
    if not kept:
        raise LawBrokenError(f"The law is: {law}.")
