"""How fast this machine is, by a task of about a second: steps of a small convolutional network.

Most of a cell's time goes into such steps, on one thread. The fastest of several rounds counts, so
that another program slows the result little.
"""

from __future__ import annotations

import time
from collections.abc import Callable

ROUNDS, STEPS = 8, 6
PATCHES, SIDE, WIDTH = 64, 32, 16


def calibrate(device: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """Measure this machine.

    Args:
        device: A torch device's name.
        clock: Returns seconds.

    Returns:
        The seconds of a round.
    """
    from benchmark.sweep.executors.task import keep_memory, one_thread

    keep_memory()  # as in a cell; without, a step takes twice as long
    with one_thread():
        work = _network(device)
        work()  # the first step imports and allocates
        taken = []
        for _ in range(ROUNDS):
            start = clock()
            for _ in range(STEPS):
                work()
            taken.append(clock() - start)
    return min(taken)


def _network(device: str) -> Callable[[], float]:
    import torch
    from torch import nn

    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(1, WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(WIDTH, 1, 3, padding=1),
    ).to(device)
    patches = torch.rand(PATCHES, 1, SIDE, SIDE, device=device)
    torch.random.set_rng_state(state)
    optimiser = torch.optim.SGD(layers.parameters(), lr=1e-3)

    def step() -> float:
        optimiser.zero_grad()
        loss = layers(patches).square().mean()
        loss.backward()
        optimiser.step()
        return float(loss.detach())  # waits for the device

    return step
