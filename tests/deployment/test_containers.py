"""deploy/docker and deploy/compose.yaml: what can be known of them without a container engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from conftest import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
DOCKERFILES = [DEPLOY / "docker" / f"{app}.Dockerfile" for app in ("backend", "llm_service")]
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))
SECRETS = {"POSTGRES_PASSWORD", "LLM_SERVICE_API_KEY", "BACKEND_API_KEY", "GRAFANA_ADMIN_PASSWORD"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def interpolated(text: str, values: dict[str, str]) -> str:
    """What compose makes of ``${NAME:-default}`` and ``${NAME:?why}``."""

    def value(found: re.Match[str]) -> str:
        if given := values.get(found["name"]):
            return given
        if found["kind"] == "?":
            raise KeyError(found["name"])
        return found["rest"] or ""

    return VARIABLE.sub(value, text)


def compose(**values: str) -> dict[str, Any]:
    given = dict.fromkeys(SECRETS, "secret0") | values
    loaded: dict[str, Any] = yaml.safe_load(interpolated(COMPOSE.read_text(encoding="utf-8"), given))
    return loaded


def last_stage(dockerfile: Path) -> list[str]:
    """The instructions of the image that is kept, one a line."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    start = max(at for at, line in enumerate(lines) if line.startswith("FROM"))
    return lines[start:]


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint for Windows in the package index")
@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(dockerfile: Path) -> None:
    assert HADOLINT is not None
    done = subprocess.run([HADOLINT, "--no-color", dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_kept_runs_without_rights_and_installs_nothing(dockerfile: Path) -> None:
    kept = last_stage(dockerfile)
    assert "USER 10001" in kept
    assert not re.search(r"pip|apt|gcc|curl", " ".join(line for line in kept if line.startswith("RUN")))
    assert any(line.startswith("HEALTHCHECK") and "/readyz" in line and '"python"' in line for line in kept)
    # Docker before 25, Podman 4 and Buildah refuse it.
    assert not any("--start-interval" in line for line in kept)
    # The exec form: SIGTERM reaches the service, which drains.
    assert kept[-1] == 'CMD ["python", "main.py"]'
    assert any(line.startswith("VOLUME") and "/models" in line for line in kept)
    assert not any(name in " ".join(kept) for name in SECRETS)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_every_file_it_copies_is_there_and_let_through(dockerfile: Path) -> None:
    ignored = dockerfile.with_name(dockerfile.name + ".dockerignore").read_text(encoding="utf-8").split("\n")
    app = dockerfile.name.removesuffix(".Dockerfile")
    assert "*" in ignored
    assert f"!{app}" in ignored
    assert "!service_kit" in ignored
    assert f"{app}/tests" in ignored
    text = dockerfile.read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert source.split("/")[0] in (app, "service_kit")
            assert (ROOT / source).exists(), source


def test_compose_is_valid_and_names_only_what_it_defines() -> None:
    # The parser knows no merge keys, so they are resolved before.
    parsed = PyCompose.from_yaml(yaml.safe_dump(compose()))
    parsed.validate()
    wanted = {"postgres", "llm-cpu", "llm-gpu", "balancer", "backend", "prometheus", "grafana"}
    assert set(parsed.service_names()) == wanted


@pytest.mark.parametrize("name", sorted(SECRETS - {"GRAFANA_ADMIN_PASSWORD"}))
def test_without_a_key_compose_refuses(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        compose(**{name: ""})


def test_every_key_is_a_secret_without_a_default() -> None:
    defined = {secret["environment"] for secret in compose()["secrets"].values()}
    assert defined == SECRETS
    example = (DEPLOY / "compose.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == SECRETS
    used = {found["name"] for found in VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8"))}
    assert used | SECRETS == set(re.findall(r"^(?:# )?(\w+)=", example, re.MULTILINE))


def test_files_that_compose_mounts_are_there() -> None:
    mounted = [
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert mounted
    assert [path for path in mounted if not (DEPLOY / path).exists()] == []
    built = [service["build"] for service in compose()["services"].values() if "build" in service]
    assert all((DEPLOY / build["context"] / build["dockerfile"]).is_file() for build in built)


def test_nothing_is_open_to_the_network_and_no_process_gains_rights() -> None:
    services = compose()["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for name, service in services.items():
        assert service["security_opt"] == ["no-new-privileges:true"]
        # Its image begins as root, to own its folder, and then gives root's rights up.
        if name != "postgres":
            assert service["cap_drop"] == ["ALL"]
    for name in ("llm-cpu", "llm-gpu", "balancer", "backend"):
        assert services[name]["read_only"] is True


def neighbours(services: dict[str, Any], name: str) -> set[str]:
    """Who shares a network with a service."""
    own = set(services[name]["networks"])
    return {other for other, service in services.items() if other != name and own & set(service["networks"])}


def test_services_and_database_are_reached_by_those_alone_who_need_them() -> None:
    loaded = compose()
    services, networks = loaded["services"], loaded["networks"]
    # Both profiles are never up together.
    for absent, llm in (("llm-gpu", "llm-cpu"), ("llm-cpu", "llm-gpu")):
        present = {name: service for name, service in services.items() if name != absent}
        assert neighbours(present, llm) == {"balancer", "prometheus"}
    assert neighbours(services, "postgres") == {"backend"}
    assert neighbours(services, "grafana") == {"prometheus"}
    assert {name for name, network in networks.items() if (network or {}).get("internal")} == {"instances", "database"}
    for name in ("llm-cpu", "llm-gpu", "postgres"):
        assert "ports" not in services[name]


def test_each_container_has_a_bound_on_memory_processes_and_logs() -> None:
    for name, service in compose()["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name


def test_dependencies_are_waited_for_until_they_are_healthy() -> None:
    services = compose()["services"]
    for service in services.values():
        for waited_for, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert services[waited_for]["healthcheck"]["test"]
    assert set(services["backend"]["depends_on"]) == {"postgres", "balancer"}


def test_a_secret_from_the_environment_and_a_read_only_root_are_never_together() -> None:
    # Compose copies such a secret into the container, and refuses to start one that cannot be written to.
    holders = {name: service for name, service in compose()["services"].items() if service.get("secrets")}
    assert set(holders) == {"postgres", "prometheus", "grafana"}
    assert not any(service.get("read_only") for service in holders.values())
    # Others than root read them there.
    for name in ("prometheus", "grafana"):
        assert all(secret["mode"] == 0o444 for secret in holders[name]["secrets"])


def test_one_of_each_profile_answers_to_the_name_the_balancer_asks_for() -> None:
    services = compose()["services"]
    for profile in ("cpu", "gpu"):
        (service,) = (each for each in services.values() if each.get("profiles") == [profile])
        assert service["networks"]["instances"]["aliases"] == ["llm"]
        assert service["environment"]["LLM_SERVICE_API_KEY"] == "secret0"
    upstream = (DEPLOY / "nginx" / "upstream.compose.conf").read_text(encoding="utf-8")
    assert "server llm:8001 resolve" in upstream
    assert services["backend"]["environment"]["LLM_SERVICE_URL"] == "http://balancer:8080"


def test_a_container_is_given_longer_to_stop_than_the_service_takes() -> None:
    for name in ("llm-cpu", "llm-gpu"):
        service = compose()["services"][name]
        grace = float(service["environment"]["LLM_DRAIN_GRACE_S"])
        assert float(service["stop_grace_period"].removesuffix("s")) > grace
