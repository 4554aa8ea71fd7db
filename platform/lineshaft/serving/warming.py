"""Answer about nobody before the first caller comes: what Python and the stores do once takes a first answer 25 ms.

A worker that has just started, or whose neighbour has just ended, gets many first calls at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lineshaft.errors import LineshaftError
from lineshaft.rpc.v1 import features_pb2
from lineshaft.serving import written
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler
from lineshaft.tiles.keys import Keys

_LOG = logging.getLogger(__name__)

_TIMES = 3
_BUDGET_S = 0.1


def begin(champions: Champions, features: FeatureHandler) -> None:
    """Make ready what a first call would wait for: the models, then the answers that they are made from."""
    champions.start()
    warm(features)


def warm(features: FeatureHandler, *, most_s: float = 1.0) -> int:
    """Answer every feature service a few times, for as long as that may take; return how many were answered.

    Nothing is logged of it, and what cannot be answered now is told to the callers who ask.
    """
    unlogged, end_s, done = replace(features, log=None), time.monotonic() + most_s, 0
    try:
        plans = features.plans.all()
    except LineshaftError as error:
        _LOG.warning("no service is answered before the first call: %s", error.what)
        return 0
    for plan in plans:
        if time.monotonic() >= end_s:
            break
        nobody = _nobody(plan.join_keys)
        try:
            for turn in range(_TIMES):
                at_once = unlogged.get_at_once(plan.service.name, nobody) if turn else None
                served = at_once or unlogged.get(plan.service.name, nobody, budget_s=_BUDGET_S)
                written.features(served, features_pb2.ENCODING_BLOCKS)
        except LineshaftError as error:
            _LOG.warning("%s is not answered before the first call: %s", plan.service.name, error.what)
            continue
        done += 1
    return done


def _nobody(join_keys: Mapping[str, str]) -> Keys:
    """Return keys of an entity that there is not.

    >>> _nobody({"asset_id": "string"}).columns
    {'asset_id': ['']}
    """
    return Keys({name: np.array([-1]) if dtype == "int64" else [""] for name, dtype in join_keys.items()})
