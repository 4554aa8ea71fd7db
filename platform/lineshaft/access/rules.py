"""The one table of who may call what. What is not in it, nobody may call; a test compares it with what is served."""

from __future__ import annotations

from collections.abc import Mapping

from lineshaft.access.principal import Role

_MLFLOW = "/api/2.0/mlflow"
_MLFLOW_READS = (
    ("GET", "registered-models/get"),
    ("GET", "registered-models/search"),
    ("GET", "registered-models/get-latest-versions"),
    ("POST", "registered-models/get-latest-versions"),
    ("GET", "registered-models/alias"),
    ("GET", "model-versions/get"),
    ("GET", "model-versions/search"),
    ("GET", "model-versions/get-download-uri"),
)
_MLFLOW_WRITES = (
    ("POST", "registered-models/create"),
    ("POST", "registered-models/rename"),
    ("PATCH", "registered-models/update"),
    ("DELETE", "registered-models/delete"),
    ("POST", "registered-models/set-tag"),
    ("DELETE", "registered-models/delete-tag"),
    ("POST", "registered-models/alias"),
    ("DELETE", "registered-models/alias"),
    ("POST", "model-versions/create"),
    ("PATCH", "model-versions/update"),
    ("POST", "model-versions/transition-stage"),
    ("DELETE", "model-versions/delete"),
    ("POST", "model-versions/set-tag"),
    ("DELETE", "model-versions/delete-tag"),
)
_PAGES = (
    "/",
    *("/features", "/features/{of_view}/{name}", "/views", "/views/{name}", "/services", "/lineage"),
    *("/checkpoints", "/checkpoints/{name}", "/quarantine", "/quarantine/{name}"),
    *("/drift", "/drift/{name}", "/drift/{name}/report", "/reports/{name}"),
    *("/models", "/models/{name}", "/models/{name}/versions/{number:int}/card", "/predictions/{ident}"),
    *("/fleet", "/fleet/{name:path}", "/alerts", "/alerts/{ident}", "/audit"),
)

RULES: Mapping[str, Role] = {
    "/lineshaft.rpc.v1.FeatureService/GetFeatures": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/StreamFeatures": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/WatchFeatures": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/GetTrainingSet": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/ListFeatureServices": Role.READER,
    "/lineshaft.rpc.v1.PredictionService/Predict": Role.READER,
    "/inference.GRPCInferenceService/ServerLive": Role.ANYONE,
    "/inference.GRPCInferenceService/ServerReady": Role.ANYONE,
    "/inference.GRPCInferenceService/ServerMetadata": Role.READER,
    "/inference.GRPCInferenceService/ModelReady": Role.READER,
    "/inference.GRPCInferenceService/ModelMetadata": Role.READER,
    "/inference.GRPCInferenceService/ModelInfer": Role.READER,
    "/feast.serving.ServingService/GetFeastServingInfo": Role.READER,
    "/feast.serving.ServingService/GetOnlineFeatures": Role.READER,
    "/GrpcFeatureServer/GetOnlineFeatures": Role.READER,
    "/GrpcFeatureServer/Push": Role.WRITER,
    "/GrpcFeatureServer/WriteToOnlineStore": Role.WRITER,
    "POST /push": Role.WRITER,
    "POST /write-to-online-store": Role.WRITER,
    "POST /get-online-features": Role.READER,
    **{f"{verb} {_MLFLOW}/{path}": Role.READER for verb, path in _MLFLOW_READS},
    **{f"{verb} {_MLFLOW}/{path}": Role.WRITER for verb, path in _MLFLOW_WRITES},
    "GET /api/2.0/mlflow-artifacts/artifacts": Role.READER,
    "GET /api/2.0/mlflow-artifacts/artifacts/{path:path}": Role.READER,
    "PUT /api/2.0/mlflow-artifacts/artifacts/incoming/{path:path}": Role.WRITER,
    **{f"WEB GET {path}": Role.READER for path in _PAGES},
    "WEB GET /sign-in": Role.ANYONE,
    "WEB POST /sign-in": Role.ANYONE,  # it asks the guard by itself
    "WEB POST /sign-out": Role.READER,
    "WEB POST /alerts/{ident}/finding": Role.WRITER,  # of the team that the model is of
    "WEB POST /models/{name}/versions/{number:int}/approve": Role.ADMIN,  # of that team too
    **{f"WEB POST /quarantine/{{name}}/{act}": Role.ADMIN for act in ("release", "discard")},  # of each team it is of
    "WEB GET /healthz": Role.ANYONE,
    "GET /v2": Role.READER,
    "GET /v2/health/live": Role.ANYONE,
    "GET /v2/health/ready": Role.ANYONE,
    **{f"GET /v2/models/{place}": Role.READER for place in ("{model}", "{model}/versions/{version}")},
    **{f"GET /v2/models/{place}/ready": Role.READER for place in ("{model}", "{model}/versions/{version}")},
    **{f"POST /v2/models/{place}/infer": Role.READER for place in ("{model}", "{model}/versions/{version}")},
    "GET /health": Role.ANYONE,  # probes of a cluster show nothing
    "/grpc.health.v1.Health/Check": Role.ANYONE,
    "/grpc.health.v1.Health/Watch": Role.ANYONE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.READER,
}
"""The least role, in some team, by method of gRPC, route of HTTP and route of the admin page (WEB). Whose data it is
about is asked besides, by `Caller.must_read`."""
