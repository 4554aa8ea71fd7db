"""What people do with MLflow's client, done to our server; prints what came of it as JSON.

Runs in an environment that has MLflow, as `usual_flow.py OURS FOLDER`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that is a pickle."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Return what is given."""
        return model_input


def refusal(act: Callable[[], Any]) -> list[str]:
    """Return the code and the message that an act is refused with."""
    try:
        act()
    except mlflow.MlflowException as error:
        return [error.error_code, str(error)]
    return []


def main() -> None:
    """Log, register, name, load and delete."""
    address, folder = sys.argv[1:]
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_registry_uri(address)
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment(
            "pumps", artifact_location=f"{address}/api/2.0/mlflow-artifacts/artifacts/incoming"
        )
    )
    rows = pd.DataFrame(
        np.random.default_rng(3).normal(size=(60, 2)).astype(np.float32), columns=["pump__rms", "pump__age"]
    )
    fails = (rows["pump__rms"] > 0).astype(int)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(rows, fails), 3)
    scores = booster.predict(xgboost.DMatrix(rows))
    signature = infer_signature(rows, scores)
    forest = RandomForestClassifier(3, random_state=0).fit(rows, fails)
    client = mlflow.MlflowClient()
    found: dict[str, Any] = {}
    with mlflow.start_run():
        logged = mlflow.xgboost.log_model(
            booster, name="model", signature=signature, model_format="ubj", registered_model_name="pump failure"
        )
        found["sklearn"] = refusal(
            lambda: mlflow.sklearn.log_model(forest, name="f", registered_model_name="f", serialization_format="pickle")
        )
        found["pyfunc"] = refusal(
            lambda: mlflow.pyfunc.log_model(name="p", python_model=Echo(), registered_model_name="p")
        )
    client.set_registered_model_alias("pump failure", "best", "1")
    loaded = mlflow.xgboost.load_model("models:/pump failure@best")
    found["same bits"] = bool((loaded.predict(xgboost.DMatrix(rows)) == scores).all())
    found["pyfunc same"] = bool((mlflow.pyfunc.load_model("models:/pump failure/1").predict(rows) == scores).all())
    found["unpinned champion"] = refusal(lambda: client.set_registered_model_alias("pump failure", "champion", "1"))
    client.create_registered_model("pinned")
    tags = {"lineshaft.service": "pumps", "lineshaft.task": "binary", "lineshaft.reason": "two more sites"}
    client.create_model_version("pinned", logged.model_uri, tags=tags)
    client.set_registered_model_alias("pinned", "champion", "1")
    champion = mlflow.xgboost.load_model("models:/pinned@champion")
    found["champion same"] = bool((champion.predict(xgboost.DMatrix(rows)) == scores).all())
    found["aliases"] = client.get_registered_model("pinned").aliases
    found["no champion"] = refusal(lambda: client.delete_registered_model_alias("pinned", "champion"))
    found["champion deleted"] = refusal(lambda: client.delete_registered_model("pinned"))
    found["found"] = [one.name for one in client.search_registered_models("name LIKE 'pin%'")]
    print(json.dumps(found))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
