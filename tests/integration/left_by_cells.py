"""A small sweep for every executor, a plug-in with moods, and what cells leave."""

import json
from pathlib import Path

from command import SMALL, UNTRACKED

FITS = ["run", "--no-bookends", "--segmenter", "unet", *SMALL, *UNTRACKED, "--noise", "seeded"]
FITS += ["--generator", "real,dp-wgan", "--epsilon", "5"]
FITS += ["--set", "dp-wgan.generator_steps=3", "--set", "dp-wgan.batch=16"]
MEASURED = ("seconds", "peak_mib", "seal")
MOODY = '''
"""A generator whose fit does as a file says."""
import os
import time
from pathlib import Path
from generators.simulator import Simulator

class Moody(Simulator):
    name = "moody"
    def fit(self, patches, guarantee, context):
        mood = Path(__file__).with_name("mood").read_text()
        with Path(__file__).with_name("fits").open("a") as fits:
            fits.write("fit ")
        if mood == "fails":
            raise RuntimeError("no luck today")
        if mood == "interrupts":
            raise KeyboardInterrupt
        if mood == "sleeps":
            time.sleep(600)
        if mood == "dies":
            os._exit(3)
        return super().fit(patches, guarantee, context)
'''


def left(folder: Path) -> dict[str, object]:
    """Every file of every cell; results without what was measured of the run itself."""
    found: dict[str, object] = {}
    for file in (f for f in folder.glob("runs/*/*/**/*") if f.is_file() and f.name != ".lock"):
        said: object = file.read_bytes()
        if file.suffix == ".json":
            said = json.loads(file.read_text())
        if file.name == "result.json":
            said = {name: value for name, value in said.items() if name not in MEASURED}
        if file.name == "charge.json":
            del said["ledger_entry"], said["claim"]  # each pays by itself
        found[str(file.relative_to(folder))] = said
    return found
