"""``--arithmetic fast``: segmenters compute in bf16 where the machine has it, and no others do.

What is asked becomes a setting of each segmenter, so that a result's key says in which arithmetic
it was computed. A machine without bf16 computes exactly, and the key then says that. Private
segmenters and generators have no such setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmark.core.errors import UsageError
from benchmark.core.registry import class_of, segmenters
from benchmark.privacy.arithmetic import BF16, EXACT, FAST, has_bf16
from benchmark.sweep.request import Request

SETTING = "arithmetic"
ASKED = (EXACT, FAST)


def resolved(request: Request, device: str) -> tuple[Request, list[str]]:
    """Give the segmenters of a request the arithmetic that it asks for.

    A setting that the user gave a segmenter by name stays.

    Args:
        request: What the user asks for.
        device: A torch device's name.

    Returns:
        The request, and what the user is to be told.

    Raises:
        UsageError: If neither ``exact`` nor ``fast`` is asked for.
    """
    if request.arithmetic not in ASKED:
        raise UsageError(f"Expected --arithmetic exact or fast, got {request.arithmetic!r}.")
    if request.arithmetic == EXACT:
        return request, []
    fast = [name for name in request.segmenters if _can_be_fast(name)]
    if not fast:
        return request, ["No segmenter of this sweep computes in bf16: all is computed exactly."]
    if not has_bf16(device):
        return request, [
            f"The device {device} has no bf16 arithmetic: all is computed exactly, and keys say so."
        ]
    chosen: dict[str, Mapping[str, str]] = {
        name: {SETTING: BF16, **request.settings.get(name, {})} for name in fast
    }
    return replace(request, settings={**request.settings, **chosen}), [
        f"In bf16, not exactly: {', '.join(fast)}. Boards show such rows apart from exact ones."
    ]


def _can_be_fast(name: str) -> bool:
    kind = class_of(segmenters, name)
    return kind is not None and SETTING in kind.Params.ranges()
