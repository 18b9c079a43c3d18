"""Optuna's store, which several machines may share, and the recovery of dead workers' trials."""

from __future__ import annotations

import re
import time
import warnings
from typing import TYPE_CHECKING
from urllib.parse import unquote

from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S, RETRIES = 15, 60, 2
"""The interval of a worker's heartbeats, the silence after which it counts as dead, and how often
its trial is then tried again."""

SETTLE_S = 1.0


def storage_at(url: str) -> optuna.storages.RDBStorage:
    """Open Optuna's store. The trial of a worker that dies is tried again.

    Args:
        url: The store's URL.

    Raises:
        UsageError: If it cannot be used.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import DBAPIError

    for patience in (SETTLE_S, SETTLE_S, 0.0):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # heartbeats are called experimental
                return RDBStorage(
                    url,
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=GRACE_S,
                    heartbeat_stale_trial_callback=try_again,
                )
        except DBAPIError as error:  # two workers that make a new store's tables at once
            failed: Exception = error
            time.sleep(patience)
        except Exception as error:  # drivers raise their own
            failed = error
            break
    reason = _masked(str(failed).strip().splitlines()[0], url)
    shown = _masked(url, url)
    raise UsageError(f"--storage {shown}: Optuna cannot use this store ({reason}).") from None


def try_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Queue a dead worker's trial again. What it has spent stays with the trial that died."""
    from optuna.storages import RetryHeartbeatStaleTrialCallback

    trial.user_attrs = {}
    RetryHeartbeatStaleTrialCallback(RETRIES)(study, trial)


def _masked(text: str, url: str) -> str:
    """The text without the password of a store's URL."""
    secrets = re.findall(r"//[^/@]*?:(.+)@|password=([^&]+)", url)
    for secret in (one for pair in secrets for one in pair if one):
        text = text.replace(secret, "***").replace(unquote(secret), "***")
    return text
