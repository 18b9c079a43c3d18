"""Identities of patients: the voxels of the volume, and the participant id of the cohort.

Two records with either in common are one patient. A volume with one changed voxel keeps its
participant id; a renamed volume keeps its voxels. If both change, one after the other, the record
between the changes connects the two.
"""

from __future__ import annotations

from collections.abc import Iterable

_BETWEEN = "+"


class Identity(str):
    """A patient's identity in a ledger: keyed digests of the voxels and of the participant id.

    The text is the two digests with ``+`` between them. Without a second part it names the voxels
    alone. That is so in ledgers from before ids were entered, and for phantoms, which are no
    persons.

    Examples:
        >>> Identity.of("v", "p").digests, Identity("v").digests
        (('v', 'p'), ('v',))
    """

    __slots__ = ()

    @classmethod
    def of(cls, voxels: str, participant: str) -> Identity:
        """Make an identity from its digests.

        Args:
            voxels: The keyed digest of the image's voxels.
            participant: The keyed digest of the participant id; empty for none.
        """
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
        """Both digests, or the voxels' alone if there is no participant id."""
        return tuple(digest for digest in (self.voxels, self.participant) if digest)


def joined(identities: Iterable[str]) -> dict[str, str]:
    """Find which identities are one patient.

    Two identities are one patient if a chain of common digests connects them.

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
