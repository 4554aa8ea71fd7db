"""The Java libraries a job needs, each pinned by version and SHA-256, fetched once into the user's Maven cache."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from lineshaft.errors import EnvironmentFault

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One library of Maven Central."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """Return `group:name:version`."""
        return f"{self.group}:{self.name}:{self.version}"


PARQUET = (
    Jar(
        group="org.apache.flink",
        name="flink-sql-parquet",
        version="2.3.0",
        sha256="f30617f4a5a6d437750f155ff72178ab34439aec91df64d96621c260559ba5fd",
    ),
    Jar(
        group="org.apache.hadoop",
        name="hadoop-client-api",
        version="3.3.6",
        sha256="f3d2347a6e1c6885d5bcfd4f60c3ac3810ec11068fc161e04329baabf412d963",
    ),
    Jar(
        group="org.apache.hadoop",
        name="hadoop-client-runtime",
        version="3.3.6",
        sha256="15f01bc804294df06d2effc87de363a83cf589f50558bdbf48f72541ad8de854",
    ),
    Jar(
        group="com.github.luben",
        name="zstd-jni",
        version="1.5.6-10",
        sha256="b6c3237e24b8252a5a9c3a0e1ae30ef8f323412e74bd358548b7a9e527d676df",
    ),
)
"""What reading and writing Parquet takes; Hadoop's two jars are its reader's, no cluster is involved."""

KAFKA = (
    Jar(
        group="org.apache.flink",
        name="flink-sql-connector-kafka",
        version="5.0.0-2.2",
        sha256="5605c691d11a501382c383fecba37a7a552467da5ab7ba904ef5d6f3d62c5616",
    ),
)
"""What a Kafka feed takes beside them."""


def fetch(jars: tuple[Jar, ...], *, cache: Path | None = None) -> tuple[Path, ...]:
    """Return the files of `jars`, fetched where the cache lacks them, each checked by its SHA-256.

    The cache is the user's own Maven cache unless given. Raises `EnvironmentFault` when a jar cannot be had, or is
    not the one that was pinned.
    """
    from jgo.maven import MavenContext  # the seam: only a job that starts needs it

    context = MavenContext(repo_cache=cache, timeout=60)
    return tuple(_fetch_one(context, jar) for jar in jars)


def _fetch_one(context: object, jar: Jar) -> Path:
    try:
        artifact = context.project(jar.group, jar.name).at_version(jar.version).artifact()  # type: ignore[attr-defined]
        if artifact.cached_path is None or not artifact.cached_path.exists():
            _log.info("fetching %s (once)", jar.coordinate)
        path = Path(artifact.resolve())
    except Exception as error:  # whatever network, proxy or repository do wrong ends here
        raise EnvironmentFault(
            f"the Java library {jar.coordinate} cannot be fetched: {error}",
            where="lineshaft_flink.jars",
            fix="let this machine reach Maven Central once, or copy a Maven cache from one that can (M2_REPO names it)",
        ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise EnvironmentFault(
            f"{jar.coordinate} has SHA-256 {found}, not the pinned {jar.sha256}",
            where=str(path),
            fix="delete that file and run again; if it comes back, the repository you reach serves another file",
        )
    return path
