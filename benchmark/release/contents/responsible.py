"""What a release says for responsible use, in the terms of Croissant's RAI vocabulary."""

from __future__ import annotations

from benchmark.release.contents.volumes import WHITE
from benchmark.release.statement import Statement
from benchmark.release.wording import INDEPENDENT, promise


def responsible_use(statement: Statement) -> dict[str, str]:
    """Describe origin, labels, limits and the persons concerned.

    Args:
        statement: The release's.

    Returns:
        A text for each term of the vocabulary.
    """
    generator = statement.spec.generator.name
    people = "simulated patients (phantoms)" if statement.phantoms else "patients"
    return {
        "rai:dataCollection": f"All patches were drawn from the generator {generator!r}, which "
        f"was fitted on {people}. No scan is in the data set.",
        "rai:dataCollectionType": "Synthetic data",
        "rai:dataPreprocessingProtocol": f"Intensities were rounded to {WHITE + 1} levels.",
        "rai:dataAnnotationProtocol": "The generator drew each mask together with its image. "
        "Nobody looked at the masks.",
        "rai:machineAnnotationTools": generator,
        "rai:personalSensitiveInformation": promise(statement),
        "rai:dataLimitations": f"{INDEPENDENT} The patches are no basis for a diagnosis, and what "
        "they show need not exist in any patient.",
        "rai:dataBiases": "The patients of the fit were those of its sites and scanners. A private "
        "generator shows rare anatomy less often than it occurs, or not at all.",
        "rai:dataUseCases": "Training of two-dimensional segmenters of vessels, and comparison of "
        "generators. A segmenter must be tested on patients.",
        "rai:dataReleaseMaintenancePlan": "The release does not change. A further one is a release "
        "of its own, and its privacy loss adds to this one's.",
    }
