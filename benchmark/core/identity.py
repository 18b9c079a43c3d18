"""Who is one patient: known by the volume's voxels, and by the name that the cohort gives.

Either is enough. A volume of which one voxel was changed keeps its name, a renamed one its voxels,
and whoever changes both in two steps is found through the step between.
"""

from __future__ import annotations

from collections.abc import Iterable

_BETWEEN = "+"


class Identity(str):
    """A patient as a ledger keeps him: a keyed digest of the voxels, and one of the participant id.

    A text without a second part names the voxels alone, as in ledgers that were begun before ids
    were entered, and as phantoms are named, who are nobody.

    Examples:
        >>> Identity.of("v", "p").digests, Identity("v").digests
        (('v', 'p'), ('v',))
    """

    __slots__ = ()

    @classmethod
    def of(cls, voxels: str, participant: str) -> Identity:
        """The identity with these digests; an empty ``participant`` for none."""
        return cls(f"{voxels}{_BETWEEN}{participant}" if participant else voxels)

    @property
    def voxels(self) -> str:
        """The keyed digest of the image's voxels."""
        return self.partition(_BETWEEN)[0]

    @property
    def participant(self) -> str:
        """The keyed digest of the cohort's participant id; empty where none was entered."""
        return self.partition(_BETWEEN)[2]

    @property
    def digests(self) -> tuple[str, ...]:
        """Both, or the voxels' alone."""
        return tuple(digest for digest in (self.voxels, self.participant) if digest)


def joined(identities: Iterable[str]) -> dict[str, str]:
    """Tells which identities are one patient: those that a chain of common digests connects.

    Args:
        identities: In the text form of ``Identity``.

    Returns:
        For each identity a digest that all of its patient's identities have in common.

    Examples:
        >>> one = joined(["v1+i1", "v2+i1", "v2+i2", "v3"])
        >>> one["v1+i1"] == one["v2+i2"] != one["v3"]
        True
    """
    above: dict[str, str] = {}

    def top(digest: str) -> str:
        while (higher := above.setdefault(digest, digest)) != digest:
            above[digest] = above[higher]
            digest = higher
        return digest

    everyone = [Identity(text) for text in identities]
    for identity in everyone:
        first, *others = identity.digests
        for other in others:
            above[top(other)] = top(first)
    return {identity: top(identity.digests[0]) for identity in everyone}
