"""Canaries in a run's own fit, so that what is released is what was attacked.

A canary is a made-up unit, in or out by a coin of its own. What the fit learns of it lies along an
axis that only the auditor adds and that no patch of a patient shares (``watching``). So the
generator learns of patients what it would learn without canaries, except that their slots count in
N: a sum is divided by more units. The coins come from the run's seed. They need not be secret, as
canaries are nobody's data.
"""

from __future__ import annotations

from benchmark.audit.canaries import CanaryTrial, trial, unreadable, verdict_of
from benchmark.audit.measuring import measured
from benchmark.audit.own_fit import FORMAT, Attempted, FitAudit, FitTest
from benchmark.audit.watching import Watch
from benchmark.core.budget import Guarantee
from benchmark.core.errors import PlugInError
from benchmark.core.generator import Generator
from benchmark.core.patches import Patches
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.core.workings import Shown
from benchmark.results.spec import RunSpec


class Planted:
    """A run's canaries among its patches, and what the auditor hears of them.

    Args:
        fitted: The plug-in, before its fit.
        known: The patients' patches.
        spec: The run.

    Attributes:
        patches: The patches to fit on.
        watch: The callback for ``context.inspect``.

    Raises:
        PlugInError: If the plug-in shows nothing that canaries can be put into. Nothing of any
            patient was read then.
    """

    def __init__(self, fitted: Generator | PrivateSegmenter, known: Patches, spec: RunSpec) -> None:
        if unseen := unreadable(fitted, spec.unit, measured):
            raise PlugInError(
                f"{fitted.name} {unseen}, so it can have no canaries; leave --canaries out, and "
                "audit the run by what it draws (`bench audit --run`)."
            )
        self._spec = spec
        self._among: CanaryTrial = trial(known, spec.unit, canaries=spec.canaries, seed=spec.seed)
        self._broken: dict[str, str] = {}
        self.patches = self._among.patches
        self.watch = Watch(self._among.canaries, self._measure)

    def _measure(self, shown: Shown) -> None:
        for law, why in measured(shown).items():
            self._broken[law] = self._broken.get(law) or why

    def counts(self, guarantee: Guarantee) -> FitAudit | None:
        """Guess which canaries were in, now that the fit has ended.

        A fit that was interrupted is guessed on by the steps of its last process alone. That is
        still a valid attack, only a weaker one.

        Args:
            guarantee: The plan of the fit.

        Returns:
            The counts; ``None`` where this process took no private step, as after a kill behind the
            last one.
        """
        if self.watch.unseen:
            return None
        said = verdict_of(self.watch, guarantee, self._among.included)
        return FitAudit(
            format=FORMAT,
            run=self._spec.key,
            method="canaries",
            tests=(
                FitTest(
                    unit=self._spec.unit,
                    candidates=said.canaries,
                    attempts=(Attempted(guesses=said.guesses, right=said.right),),
                ),
            ),
            laws=tuple(sorted(self._broken)),
            broken={law: why for law, why in self._broken.items() if why},
        )
