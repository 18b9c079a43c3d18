"""``bench weights``: the Inception weights that FID needs."""

from __future__ import annotations

import click


@click.group()
def weights() -> None:
    """Download the network that FID needs."""


@weights.command()
def fetch() -> None:
    """Download the Inception weights (91 MB): the only command that uses the network."""
    from benchmark.core.folders import cache_folder
    from benchmark.metrics.weights import fetch as download

    click.echo(f"Inception weights: {download(cache_folder())}")
