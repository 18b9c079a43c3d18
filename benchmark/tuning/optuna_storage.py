"""Optuna's store, which several machines may share, and the recovery of dead workers' trials."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

from benchmark.core.addresses import masked
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S = 15, 60
"""A worker that is silent for so long is taken for dead, and its trial is tried again."""

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
    reason = masked(str(failed).strip().splitlines()[0], url)
    shown = masked(url)
    raise UsageError(f"--storage {shown}: Optuna cannot use this store ({reason}).") from None


def try_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Queue a dead worker's trial again. What it has spent stays with the trial that died."""
    from optuna.storages import RetryHeartbeatStaleTrialCallback

    trial.user_attrs = {}
    RetryHeartbeatStaleTrialCallback()(study, trial)  # as often as workers die
