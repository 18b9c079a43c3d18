"""What a deployment's server and its sites send each other for a release: used, or refused.

A consent that is accepted is one to this run, these weights and these patches, and nothing else.
"""

import json

import numpy as np
import pytest
from agreements import PATCHES, consent_to, left_by_a_server
from deployments import NAMES
from hypothesis import given, seed
from hypothesis import strategies as st
from releases import put, text_of
from safetensors.numpy import save
from test_fuzz import MANY, SEED, VALUES, damaged, edited, is_refused_or_read

from benchmark.core.memory import memory_limit
from benchmark.release.agreement import consents_of
from benchmark.release.candidate import CANDIDATE, candidate_of
from benchmark.release.source import Source, source_of
from federation.finished import RESULT

MEMORY_GIB = 1.0


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """What a deployment left at its server, with every site's consent."""
    source = left_by_a_server(tmp_path_factory.mktemp("deployment") / "run")
    for site in NAMES:
        put(source.folder.parent / "consents", f"{site}.json", text_of(consent_to(source, site)))
    assert [*consents_of(source, source.folder.parent / "consents", PATCHES)] == [*NAMES]
    return source


def agree(source: Source, content: bytes) -> bool:
    """Whether all sites agree, the first one by this file; a refusal is a sentence."""
    folder, agreed = source.folder.parent / "consents", []
    whole = (folder / f"{NAMES[0]}.json").read_bytes()
    put(folder, f"{NAMES[0]}.json", content)
    is_refused_or_read(lambda: agreed.append(consents_of(source, folder, PATCHES)))
    put(folder, f"{NAMES[0]}.json", whole)
    return bool(agreed)


@MANY
@seed(SEED)
@given(st.data())
def test_a_damaged_consent_is_refused(left: Source, data: st.DataObject) -> None:
    whole = text_of(consent_to(left, NAMES[0]))
    agree(left, data.draw(damaged(whole)))


BOUND = ("run", "site", "guarantee", "generator")
"""What an edit of a consent can never change."""


@MANY
@seed(SEED)
@given(st.data())
def test_an_edited_consent_is_to_this_release_or_refused(left: Source, data: st.DataObject) -> None:
    honest = consent_to(left, NAMES[0])
    said = data.draw(st.one_of(edited(honest), VALUES))
    if agree(left, json.dumps(said).encode("utf-8", "surrogatepass")):
        assert {name: said[name] for name in BOUND} == {name: honest[name] for name in BOUND}
        examined = (said["examined"][name] for name in ("n", "seed", "voxels"))
        assert tuple(examined) == PATCHES
        assert said["examined"]["job"] == honest["examined"]["job"]
        assert said["examined"]["evidence"]["audit"]["refuted"] is False
        assert said["examined"]["evidence"]["nearest_real"]["passed"] is True


@MANY
@seed(SEED)
@given(st.data())
def test_what_a_server_sends_is_read_or_refused(left: Source, data: st.DataObject) -> None:
    whole = (left.folder / RESULT).read_bytes()
    said = edited(json.loads(whole)).map(lambda one: json.dumps(one).encode("utf-8", "replace"))
    put(left.folder, RESULT, data.draw(st.one_of(damaged(whole), said)))
    is_refused_or_read(lambda: source_of(str(left.folder), left.folder))
    put(left.folder, RESULT, whole)


@MANY
@seed(SEED)
@given(st.data())
def test_patches_that_a_server_sends_are_read_or_refused(left: Source, data: st.DataObject) -> None:
    pixels = np.zeros((2, 1, 32, 32), np.uint16)
    whole = save({"images": pixels, "masks": pixels.astype(np.uint8)}, metadata={"seed": "0"})
    put(left.folder, CANDIDATE, data.draw(damaged(whole)))
    with memory_limit(MEMORY_GIB):
        is_refused_or_read(lambda: candidate_of(left))
