"""The chart lints, renders objects a cluster accepts, and starts commands that exist."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lineshaft.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "helm" / "lineshaft"
KUBERNETES = ("1.27", "1.34")
DEFAULTS: tuple[str, ...] = ()
EVERYTHING = (
    "flink.enabled=true",
    "flink.podMonitor=true",
    "flink.jobs.stream.arguments={--source,kafka}",
    "serving.autoscaling.enabled=true",
    "serving.service.headless=true",
    "serving.http.enabled=true",
    "serving.landing.enabled=true",
    "serving.tls.mutual=true",
    "serving.auth.oidc.issuer=https://id.example/plant",
    "serving.auth.oidc.audience=lineshaft",
    "serving.auth.oidc.keys=https://id.example/plant/keys",
    "serving.nodeSelector.pool=fast",
    "serving.podAnnotations.team=turbine",
    "serving.tolerations[0].key=dedicated",
    "serving.tolerations[0].operator=Exists",
    "governance.image=lineshaft-governance:0.1.0",
    "governance.homeClaim=plant-home",
    "governance.drift.enabled=true",
    "governance.training.models={bearing_failure,turbofan_rul}",
    "image.pullSecrets={private}",
    "serviceAccount.annotations.role=reader",
    "networkPolicy.from[0].namespaceSelector.matchLabels.name=plants",
    "settings.LINESHAFT_REDIS_TIMEOUT_S=0.025",
)
NOTHING = (
    "governance.enabled=false",
    "migration.enabled=false",
    "networkPolicy.enabled=false",
    "serviceAccount.create=false",
    "serving.disruptionBudget.enabled=false",
)
CHOICES = pytest.mark.parametrize("choice", [DEFAULTS, EVERYTHING, NOTHING], ids=["defaults", "everything", "nothing"])
CUSTOM = {"FlinkDeployment", "PodMonitor"}  # kinds of operators: Kubernetes has no schema for them


@pytest.fixture(scope="module")
def helm() -> str:
    """Find the helm binary, or say aloud that the chart goes untested."""
    found = shutil.which("helm")
    if found is None:
        pytest.skip("helm is not installed: the chart goes untested")
    return found


def run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm and capture what it says."""
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, timeout=60)


def render(helm: str, choice: tuple[str, ...] = DEFAULTS) -> list[dict[str, Any]]:
    """Render the chart with some values set."""
    settings = [word for pair in choice for word in ("--set", pair)]
    done = run(helm, "template", "plant", str(CHART), "--namespace", "machines", *settings)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk the pods that the rendered objects start, Flink's included."""
    for document in documents:
        if document["kind"] == "FlinkDeployment":
            yield document["metadata"]["name"], document["spec"]["podTemplate"]["spec"]
        elif document["kind"] == "CronJob":
            yield document["metadata"]["name"], document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


@CHOICES
def test_the_chart_lints(helm: str, choice: tuple[str, ...]) -> None:
    """`helm lint --strict` finds nothing to say."""
    settings = [word for pair in choice for word in ("--set", pair)]

    done = run(helm, "lint", "--strict", str(CHART), *settings)

    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    assert "[INFO]" not in done.stdout


@CHOICES
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_every_object(helm: str, choice: tuple[str, ...], version: str) -> None:
    """Each rendered core object fits the strict schema of the oldest and a recent Kubernetes."""
    for document in render(helm, choice):
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


@CHOICES
def test_objects_have_names_of_their_own(helm: str, choice: tuple[str, ...]) -> None:
    """No two objects of a kind share a name, and all carry the standard labels."""
    documents = render(helm, choice)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]

    assert len(names) == len(set(names))
    for document in documents:
        assert document["metadata"]["labels"]["app.kubernetes.io/instance"] == "plant"


def test_the_choices_change_what_is_rendered(helm: str) -> None:
    """Defaults render the usual kinds; everything adds the optional ones; nothing leaves serving."""
    kinds = {
        name: {d["kind"] for d in render(helm, c)} for name, c in [("d", DEFAULTS), ("e", EVERYTHING), ("n", NOTHING)]
    }

    assert kinds["n"] == {"ConfigMap", "Deployment", "Service"}
    assert kinds["d"] == kinds["n"] | {"Job", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"}
    assert kinds["e"] == kinds["d"] | {"HorizontalPodAutoscaler", "CronJob"} | CUSTOM


@CHOICES
def test_pods_fit_the_restricted_standard(helm: str, choice: tuple[str, ...]) -> None:
    """Every pod would pass a namespace that enforces the restricted Pod Security Standard."""
    for name, pod in pods(render(helm, choice)):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
        kinds = {"name", "emptyDir", "secret", "persistentVolumeClaim"}
        assert all(set(volume) <= kinds for volume in pod.get("volumes", [])), name


def test_our_pods_write_to_scratch_only_and_state_what_they_need(helm: str) -> None:
    """Our own containers have a read-only root, requests, a memory limit and no token of the cluster."""
    for name, pod in pods(render(helm)):
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name


def test_serving_is_probed_where_it_listens(helm: str) -> None:
    """Start, readiness and liveness knock at the serving port: probes of gRPC would have to speak TLS."""
    pod = dict(pods(render(helm)))["plant-serving"]
    (container,) = pod["containers"]
    (port,) = container["ports"]

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["tcpSocket"]["port"] == port["name"]


def serving_environment(helm: str, choice: tuple[str, ...]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return what serving's container is told besides the settings of all pods, and the volumes of its pod."""
    pod = dict(pods(render(helm, choice)))["plant-serving"]
    return {item["name"]: item["value"] for item in pod["containers"][0]["env"]}, pod["volumes"]


def test_serving_may_be_reached_since_it_is_encrypted_and_guarded(helm: str) -> None:
    """It listens for other machines, so it has a certificate from a secret and takes tokens, unless told otherwise."""
    told, volumes = serving_environment(helm, DEFAULTS)
    more, _ = serving_environment(helm, EVERYTHING)
    mounted = dict(pods(render(helm)))["plant-serving"]["containers"][0]["volumeMounts"]

    assert told == {
        "LINESHAFT_TLS_CERT": "/etc/lineshaft/tls/tls.crt",
        "LINESHAFT_TLS_KEY": "/etc/lineshaft/tls/tls.key",
        "LINESHAFT_AUTH_TOKENS": "true",
    }
    assert {volume["name"]: volume.get("secret", {}).get("secretName") for volume in volumes} == {
        "scratch": None,
        "tls": "lineshaft-serving-tls",
    }
    assert {"name": "tls", "mountPath": "/etc/lineshaft/tls", "readOnly": True} in mounted
    assert set(more) - set(told) == {
        "LINESHAFT_TLS_CLIENT_CA",
        "LINESHAFT_HTTP_ADDRESS",
        *(f"LINESHAFT_OIDC_{name}" for name in ("ISSUER", "AUDIENCE", "KEYS")),
    }
    assert {name.removeprefix("LINESHAFT_").lower() for name in more} <= set(Settings.model_fields)


@CHOICES
def test_services_reach_a_pod(helm: str, choice: tuple[str, ...]) -> None:
    """Each service selects the pods of one deployment and aims at a port that they open."""
    documents = render(helm, choice)
    deployments = [document for document in documents if document["kind"] == "Deployment"]

    for service in (document for document in documents if document["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        (met,) = [d for d in deployments if wanted <= d["spec"]["template"]["metadata"]["labels"].items()]
        opened = {p["name"] for c in met["spec"]["template"]["spec"]["containers"] for p in c.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == opened


def test_feasts_http_is_let_in_where_it_is_answered_and_only_then(helm: str) -> None:
    """Container, service, network policy and the server's own setting agree on the port; by default there is none."""

    def http(choice: tuple[str, ...]) -> list[Any]:
        documents = render(helm, choice)
        (policy,) = [d for d in documents if d["kind"] == "NetworkPolicy" and d["metadata"]["name"] == "plant-serving"]
        (service,) = [d for d in documents if d["kind"] == "Service" and d["metadata"]["name"] == "plant-serving"]
        (container,) = dict(pods(documents))["plant-serving"]["containers"]
        let_in = {port["port"] for port in policy["spec"]["ingress"][0]["ports"]}
        offered = {port["port"] for port in service["spec"]["ports"]}
        told = {item["name"]: item["value"] for item in container["env"]}.get("LINESHAFT_HTTP_ADDRESS")
        return [let_in, {port["containerPort"] for port in container["ports"]}, offered, told]

    assert http(DEFAULTS) == [*[{7700}] * 3, None]
    assert http((*DEFAULTS, "serving.http.enabled=true")) == [*[{7700, 6566}] * 3, "0.0.0.0:6566"]


def test_pushed_rows_are_landed_where_they_wait(helm: str) -> None:
    """Beside each server, from the folder that it shares with it, as restricted and with the same connections."""
    (alone,) = dict(pods(render(helm)))["plant-serving"]["containers"]
    serving, landing = dict(pods(render(helm, EVERYTHING)))["plant-serving"]["containers"]
    scratch = [mount for mount in serving["volumeMounts"] if mount["name"] == "scratch"]

    assert alone["name"] == "serving"
    assert landing["args"] == ["land", "--every", "10"]
    assert landing["image"] == "lineshaft-governance:0.1.0"
    assert landing["volumeMounts"] == scratch
    assert landing["envFrom"] == serving["envFrom"]
    assert landing["securityContext"]["readOnlyRootFilesystem"] is True


def test_drift_is_checked_beside_the_page_and_models_are_trained_at_night(helm: str) -> None:
    """From one home, which is the claim's, so that outcomes are there and the page shows what was found."""
    (alone,) = dict(pods(render(helm)))["plant-governance"]["containers"]
    everything = dict(pods(render(helm, EVERYTHING)))
    web, drift = everything["plant-governance"]["containers"]
    jobs = [one for one in render(helm, EVERYTHING) if one["kind"] == "CronJob"]
    (training,) = everything["plant-training-turbofan-rul"]["containers"]

    assert alone["args"] == ["web"]
    assert drift["args"] == ["drift", "check", "--every", "1h", "--json"]
    assert training["args"] == ["train", "--if-new", "--json", "turbofan_rul"]
    assert web["volumeMounts"] == drift["volumeMounts"] == training["volumeMounts"]
    assert {"name": "home", "mountPath": "/var/lib/lineshaft"} in training["volumeMounts"]
    assert [one["spec"]["concurrencyPolicy"] for one in jobs] == ["Forbid", "Forbid"]
    refused = run(helm, "template", "plant", str(CHART), "--set", "governance.training.models={turbofan_rul}")
    assert "needs governance.homeClaim" in refused.stderr


def test_secrets_come_by_reference_only(helm: str) -> None:
    """The chart renders no secret and puts no connection with a password into an object."""
    documents = render(helm, EVERYTHING)

    assert "Secret" not in {document["kind"] for document in documents}
    for name, pod in pods(documents):
        references = [
            source["secretRef"]["name"] for source in pod["containers"][0]["envFrom"] if "secretRef" in source
        ]
        assert references == ["lineshaft-connections"], name


def test_a_changed_setting_restarts_the_pods(helm: str) -> None:
    """Pods carry the digest of their settings, because they read them only at the start."""

    def digest(choice: tuple[str, ...]) -> str:
        (serving,) = [
            d for d in render(helm, choice) if d["kind"] == "Deployment" and "serving" in d["metadata"]["name"]
        ]
        annotations: dict[str, str] = serving["spec"]["template"]["metadata"]["annotations"]
        return annotations["lineshaft/settings"]

    assert digest(DEFAULTS) == digest(())
    assert digest(DEFAULTS) != digest(("connections.project=staging",))


def test_the_migration_needs_nothing_of_the_release(helm: str) -> None:
    """The migration runs before the release's own objects exist, so it names none of them."""
    documents = render(helm)
    (job,) = [document for document in documents if document["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    (settings,) = [document["data"] for document in documents if document["kind"] == "ConfigMap"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in pod
    assert {item["name"]: item["value"] for item in pod["containers"][0]["env"]} == settings


def test_flink_jobs_keep_their_state(helm: str) -> None:
    """A Flink job runs a script of ours on Flink 2.3 by the Python driver and never upgrades stateless."""
    (job,) = [document for document in render(helm, EVERYTHING) if document["kind"] == "FlinkDeployment"]
    spec = job["spec"]
    words = spec["job"]["args"]

    assert (job["apiVersion"], spec["flinkVersion"]) == ("flink.apache.org/v1beta1", "v2_3")
    assert spec["job"]["entryClass"] == "org.apache.flink.client.python.PythonDriver"
    assert spec["job"]["upgradeMode"] in {"last-state", "savepoint"}
    assert spec["flinkConfiguration"]["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert "table.exec.source.idle-timeout" not in spec["flinkConfiguration"]
    assert (ROOT / "flink_jobs" / Path(words[words.index("-py") + 1]).name).is_file()
    assert words[-2:] == ["--source", "kafka"]


@pytest.mark.parametrize(
    "wrong",
    [
        "serving.replica=3",
        "serving.replicas=0",
        "connections.offlineUrl=/var/lib/data",
        "connections.existingSecret=",
        "settings.REDIS_URL=x",
        "settings.LINESHAFT_DATABASE_URL=postgresql://u:p@db/x",
        "flink.jobs.stream.upgradeMode=stateless",
        "serving.auth.tokens=false",
        "serving.tls.existingSecret=",
        "serving.http.port=7700",
        "serving.landing.everySeconds=0",
        "serving.auth.oidc.issuer=https://id.example",
        "serving.auth.oidc.keys=http://id.example/keys",
    ],
)
def test_wrong_values_are_refused(helm: str, wrong: str) -> None:
    """The schema refuses misspelt names, local folders, secrets in the open and jobs that lose state."""
    done = run(helm, "template", "plant", str(CHART), "--set", wrong)

    assert done.returncode != 0
    assert "don't meet the specifications" in done.stderr


def test_every_setting_the_chart_writes_exists(helm: str) -> None:
    """Names in the ConfigMap are settings of the product."""
    (settings,) = [document["data"] for document in render(helm, EVERYTHING) if document["kind"] == "ConfigMap"]

    assert {name.removeprefix("LINESHAFT_").lower() for name in settings} <= set(Settings.model_fields)


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Walk the dotted names of all values that are not mappings, or empty ones."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_value_is_described() -> None:
    """Each value, or the last mapping around it, stands in the chart's README."""
    page = (CHART / "README.md").read_text(encoding="utf-8")
    described = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    outer = {name.rpartition(".")[0] for name in described}

    for leaf in leaves(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))):
        parts = leaf.split(".")
        around = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        assert any(name in described and (name == leaf or name not in outer) for name in around), leaf
