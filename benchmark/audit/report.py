"""One audit, from a request to its report: laws, canaries, membership inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmark.audit.canaries import (
    Fitted,
    Verdict,
    attack,
    trial,
)
from benchmark.audit.judgement import Judgement
from benchmark.audit.measuring import measured
from benchmark.audit.membership import (
    Curve,
    HeldOut,
    Nearest,
    curves,
    hold_out,
    judged,
    records_of,
)
from benchmark.audit.request import Audit, Subject, budget_for, nothing_to_audit, rules_of
from benchmark.audit.slots import with_canaries
from benchmark.audit.watching import blamed, in_a_line
from benchmark.core.budget import Budget, Guarantee, PublicNumbers, epsilon_text
from benchmark.core.errors import PlugInError
from benchmark.core.generator import FitContext, Generator, Noise, Progress
from benchmark.core.identity import Identity
from benchmark.core.patches import Patches
from benchmark.core.protocol import protocol_recipe
from benchmark.core.seeds import stream
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.core.workings import Shown
from benchmark.data.cohort import Patient
from benchmark.data.patching import cached, public_numbers
from benchmark.privacy.ledger.ledger import Spending, ledger_in
from benchmark.privacy.randomness import SeededNoise, SystemNoise

DRAWN = 2
"""How many times the preset's number of synthetic patches the attack draws. More help the
attack."""

CHUNK = 1024
"""How many are drawn at a time, each time with a seed of its own."""


class Known(Protocol):
    """The patients of an audit, as a sweep's ``Inputs`` has them."""

    @property
    def train(self) -> tuple[Patient, ...]:
        """The patients to fit on."""

    @property
    def data(self) -> str:
        """Digest of them."""

    @property
    def private(self) -> bool:
        """Whether they are anything but phantoms."""

    @property
    def patients(self) -> tuple[Identity, ...]:
        """They, as the ledger knows them."""


class Membership(NamedTuple):
    """The result of membership inference.

    Attributes:
        drawn: How many synthetic patches were used.
        judgements: Of the claim for a patch and, if that is the unit, of that for a patient.
        curves: By images and by masks.
    """

    drawn: int
    judgements: tuple[Judgement, ...]
    curves: dict[str, Curve]


class AuditReport(NamedTuple):
    """The result of an audit.

    Attributes:
        claim: The guarantee that the fit was planned with.
        verdict: The result of the canaries; ``None`` if it can have none.
        unseen: Why it has none, as words that follow the plug-in's name.
        laws: The laws that were measured, each with a sentence where it is broken, else empty.
        contract: The laws of every plug-in that this one broke during the fit, with a sentence
            each.
        membership: ``None`` where nothing synthetic is made.
    """

    claim: Guarantee
    verdict: Verdict | None
    unseen: str
    laws: dict[str, str]
    contract: dict[str, str]
    membership: Membership | None

    @property
    def broken(self) -> dict[str, str]:
        """The laws that do not hold, and why; none for a correct fit."""
        return {law: why for law, why in {**self.laws, **self.contract}.items() if why}

    @property
    def contradicts(self) -> bool:
        """Whether an attack refutes the claim."""
        judgements = self.membership.judgements if self.membership else ()
        return bool(self.verdict and self.verdict.contradicts) or any(
            judgement.contradicts for judgement in judgements
        )


def run_audit(
    asked: Audit, subject: Subject, inputs: Known, *, cache: Path, state: Path, progress: Progress
) -> AuditReport:
    """Fit once, with canaries if the plug-in can have any, and attack the result.

    Args:
        asked: What is audited.
        subject: What ``made`` returned for it.
        inputs: The patients.
        cache: The cache folder.
        state: The state folder, with the ledger.
        progress: Called for every step.

    Raises:
        OverCapError: If the data are private and the fit would go over the ledger's cap.
        PlugInError: If the plug-in's plan or fit raises anything.
    """
    fitted, canaries = subject.fitted, 0 if subject.unseen else asked.canaries
    rules = rules_of(asked.protocol, asked.preset)
    recipe = protocol_recipe(rules)
    public = with_canaries(public_numbers(inputs.train, recipe), asked.unit, canaries)
    planned = _planned(fitted, public, budget_for(asked.epsilon, asked.unit, public))
    ledger_in(state).check([_spending(asked, inputs, planned)])
    seed = stream(asked.seed, "patches")
    known = cached(inputs.train, recipe, seed=seed, cache=cache, data=inputs.data)
    held = None if isinstance(fitted, PrivateSegmenter) else hold_out(known, planned, seed=seed)
    among = trial(held.kept if held else known, asked.unit, canaries=canaries, seed=asked.seed)
    found: dict[str, str] = {}
    shown_claims: list[Guarantee] = []
    paid: list[Guarantee] = []

    def charge(guarantee: Guarantee) -> None:
        ledger_in(state).charge(_spending(asked, inputs, guarantee))
        paid.append(guarantee)

    def measure(shown: Shown) -> None:
        if not subject.unseen:
            shown_claims.append(shown.guarantee)
            for law, why in measured(shown).items():
                found[law] = found.get(law) or why

    noise: Noise = SystemNoise() if inputs.private else SeededNoise(asked.seed, "audit")
    context = FitContext(seed=asked.seed, noise=noise, charge=charge, progress=progress)
    outcome = attack(fitted, planned, among, context, plant=measure)
    contract = _broken_contract(planned, outcome.spent, paid, shown_claims)
    if not paid:
        charge(outcome.spent)
    unseen = subject.unseen or outcome.unseen
    if isinstance(fitted, PrivateSegmenter) and outcome.verdict is None:
        raise PlugInError(nothing_to_audit(fitted, unseen))
    drawn = DRAWN * int(rules["samples"])
    inferred = None
    if held and isinstance(fitted, Generator):
        try:
            inferred = infer(fitted, known, held, planned, drawn=drawn, seed=asked.seed)
        except PlugInError as error:
            contract["samples_labelled_patches"] = str(error)
    return AuditReport(planned, outcome.verdict, unseen, found, contract, inferred)


def _planned(fitted: Fitted, public: PublicNumbers, budget: Budget) -> Guarantee:
    """The plan, within the budget.

    Raises:
        PlugInError: If it is not, or planning raises anything.
    """
    with blamed(fitted.name, "plan"):
        planned = fitted.plan(public, budget)
        within = planned.epsilon <= budget.epsilon and 0 < planned.delta <= budget.delta
    if not (within and planned.unit == budget.unit):
        raise PlugInError(
            f"{fitted.name} plans ε = {epsilon_text(planned.epsilon)} for a {planned.unit} where "
            f"{epsilon_text(budget.epsilon)} for a {budget.unit} was asked for, so it has no claim "
            "to audit."
        )
    return planned


def _broken_contract(
    planned: Guarantee,
    spent: Guarantee,
    paid: Sequence[Guarantee],
    shown: Sequence[Guarantee],
) -> dict[str, str]:
    """What a plug-in did that no plug-in may, by the name of the law that it breaks."""

    def text(guarantees: Sequence[Guarantee]) -> str:
        return epsilon_text(max(guarantee.epsilon for guarantee in guarantees))

    found, plan = {}, f"{text([planned])} planned"
    if not paid:
        found["charges_before_touching"] = "the fit was not charged; it is now"
    elif not spent.epsilon <= max(guarantee.epsilon for guarantee in paid):
        found["charges_before_touching"] = f"ε = {text([spent])} was spent, {text(paid)} charged"
    if not spent.epsilon <= planned.epsilon:
        found["spends_what_was_planned"] = f"ε = {text([spent])} was spent, {plan}"
    if not all(claim.epsilon <= planned.epsilon for claim in shown):
        found["shows_what_was_planned"] = f"ε = {text(shown)} was shown, {plan}"
    return found


def infer(
    generator: Generator,
    known: Patches,
    held: HeldOut,
    planned: Guarantee,
    *,
    drawn: int,
    seed: int,
) -> Membership:
    """Draw synthetic patches from a fitted generator, and judge its claim by them.

    Args:
        generator: Fitted on ``held.kept``, perhaps with canaries.
        known: All patches, before any were held out.
        held: Who was held out.
        planned: The claim.
        drawn: How many synthetic patches.
        seed: Decides the draws.

    Raises:
        PlugInError: If drawing raises anything, or the drawn patches are not what was asked for.
    """
    nearest = Nearest(records_of(known, held))
    for start in range(0, drawn, CHUNK):
        count = min(CHUNK, drawn - start)
        try:
            some = generator.sample(count, seed=stream(seed, f"drawn {start}"))
            looks = some.images.shape
        except Exception as error:  # a plug-in may raise anything
            raise PlugInError(f"sampling raised {in_a_line(error)}") from error
        if looks != (count, 1, known.size, known.size):
            raise PlugInError(
                f"{count} patches of side {known.size} were asked for, and {looks[0]} of "
                f"shape {looks[1:]} came"
            )
        nearest.hear(some)
    scores = nearest.scores
    return Membership(drawn, tuple(judged(held, scores, planned)), curves(held, scores))


def _spending(asked: Audit, inputs: Known, guarantee: Guarantee) -> Spending:
    return Spending(
        kind="fit",
        run=f"audit of {asked.generator}",
        generator=asked.generator,
        guarantee=guarantee,
        patients=inputs.patients,
        private=inputs.private,
    )
