"""The one table of who may call what. What is not in it, nobody may call; a test compares it with what is served."""

from __future__ import annotations

from collections.abc import Mapping

from lineshaft.access.principal import Role

RULES: Mapping[str, Role] = {
    "/lineshaft.rpc.v1.FeatureService/GetFeatures": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/StreamFeatures": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/WatchFeatures": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/GetTrainingSet": Role.READER,
    "/lineshaft.rpc.v1.FeatureService/ListFeatureServices": Role.READER,
    "/lineshaft.rpc.v1.PredictionService/Predict": Role.READER,
    "/feast.serving.ServingService/GetFeastServingInfo": Role.READER,
    "/feast.serving.ServingService/GetOnlineFeatures": Role.READER,
    "/GrpcFeatureServer/GetOnlineFeatures": Role.READER,
    "/GrpcFeatureServer/Push": Role.WRITER,
    "/GrpcFeatureServer/WriteToOnlineStore": Role.WRITER,
    "POST /push": Role.WRITER,
    "POST /write-to-online-store": Role.WRITER,
    "POST /get-online-features": Role.READER,
    "GET /health": Role.ANYONE,  # probes of a cluster show nothing
    "/grpc.health.v1.Health/Check": Role.ANYONE,
    "/grpc.health.v1.Health/Watch": Role.ANYONE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.READER,
}
"""The least role, in some team, by method of gRPC and route of HTTP. Whose data it is about is asked besides, by
`Caller.must_read`."""
