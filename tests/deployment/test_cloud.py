"""deploy/cloud: the scripts are clean, show what they would do, do what they show, and leave nothing open.

No cloud is asked: programs that would are replaced by ones that write down how they were called.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for a POSIX shell, not for Windows")

CLOUD = ROOT / "deploy" / "cloud"
UNIT = CLOUD / "llm-service.service"
STEPS = ("network.sh", "llm-vm.sh", "balancer.sh", "backend.sh")
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(not SYSTEMD_ANALYZE, reason="systemd-analyze is missing (Debian's package systemd)")
KEY = "a-key-that-nobody-may-see"

# Stands in for gcloud, docker, git and openssl: notes its arguments; what exists is said in EXISTING.
STAND_IN = f"""#!/bin/bash
name="$(basename "$0")"
case "$name $*" in
    *list-instances*) [[ "$EXISTING" == all ]] && echo zones/z/instances/llm-1; exit 0 ;;
    *"addresses describe"*--format*) echo 10.10.0.5; exit 0 ;;
    *describe*--format*) [[ "$EXISTING" == all ]] && echo zones/z/instanceGroups/llm; exit 0 ;;
    *describe*) [[ "$EXISTING" == all ]]; exit ;;
    "git "*rev-parse*) echo 0123456789ab; exit 0 ;;
    "openssl rand"*) echo {KEY}; exit 0 ;;
esac
printf '%q ' "$name" "$@" >>"$CALLS"
echo >>"$CALLS"
[[ "$*" == *--data-file=-* ]] && cat >>"$CALLS.stdin"
exit 0
"""


class Stage:
    """A machine on which the scripts can run without a cloud."""

    def __init__(self, folder: Path) -> None:
        self.calls_file = folder / "calls"
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name in ("gcloud", "docker", "git", "openssl"):
            self.stand_in(name, STAND_IN)
        certificate = folder / "certificate.pem"
        certificate.write_text("PEM")
        self.variables = {
            "PATH": f"{self._bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "CALLS": str(self.calls_file),
            "EXISTING": "none",
            "CLOUD_ENV": str(CLOUD / "cloud.env.example"),
            "TMPDIR": str(folder),
            "PROJECT": "a-project",
            "VM_IMAGE_FAMILY": "with-driver",
            "LLM_DOMAIN": "llm.example.org",
            "TLS_CERTIFICATE": str(certificate),
            "TLS_PRIVATE_KEY": str(certificate),
        }

    def stand_in(self, name: str, text: str) -> None:
        path = self._bin / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(CLOUD / script), *arguments],
            env={**self.variables, **variables}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def calls(self) -> list[list[str]]:
        """What was run in the cloud so far."""
        return (
            [shlex.split(line) for line in self.calls_file.read_text().splitlines()] if self.calls_file.exists() else []
        )


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def shown(output: str) -> list[list[str]]:
    """The commands that a script shows and that would reach a stand-in."""
    commands = [shlex.split(line[2:]) for line in output.splitlines() if line.startswith("+ ")]
    return [command for command in commands if command[0] in ("gcloud", "docker", "git", "openssl")]


def test_the_linter_finds_nothing_and_would_find_something(tmp_path: Path) -> None:
    scripts = sorted(CLOUD.glob("*.sh"))
    assert {path.name for path in scripts} == {*STEPS, "lib.sh", "install-llm-service.sh"}
    done = subprocess.run([SHELLCHECK, "-x", *scripts], cwd=CLOUD, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    broken = tmp_path / "broken.sh"
    broken.write_text("#!/bin/bash\nrm -rf $1/*\n")
    assert subprocess.run([SHELLCHECK, broken], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("script", STEPS)
def test_a_dry_run_shows_commands_and_runs_none(stage: Stage, script: str) -> None:
    done = stage.run(script, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert shown(done.stdout)
    assert stage.calls() == []


@pytest.mark.parametrize("script", STEPS)
def test_what_a_dry_run_shows_is_what_a_run_does(stage: Stage, script: str) -> None:
    promised = stage.run(script, "--dry-run").stdout.replace("COMMIT", "0123456789ab")
    done = stage.run(script)
    assert done.returncode == 0, done.stderr
    assert stage.calls() == shown(promised.replace("ADDRESS-OF-llm", "10.10.0.5"))


@pytest.mark.parametrize("script", STEPS)
def test_a_second_run_creates_nothing_again(stage: Stage, script: str) -> None:
    done = stage.run(script, EXISTING="all")
    assert done.returncode == 0, done.stderr
    assert [call for call in stage.calls() if {"create", "add-backend", "add-instances"} & set(call)] == []


def test_keys_go_into_the_store_and_onto_no_command_line(stage: Stage) -> None:
    outputs = [stage.run(script) for script in STEPS]
    assert Path(f"{stage.calls_file}.stdin").read_text() == KEY * 2
    assert KEY not in str(stage.calls())
    assert KEY not in "".join(done.stdout + done.stderr for done in outputs)


def test_nothing_is_open_to_the_internet_but_the_page(stage: Stage) -> None:
    for script in STEPS:
        stage.run(script)
    commands = [" ".join(call) for call in stage.calls()]
    rules = [command for command in commands if "firewall-rules create" in command]
    assert rules
    assert all("--source-ranges=" in rule and "0.0.0.0/0" not in rule for rule in rules)
    (machine,) = [command for command in commands if "instances create" in command]
    assert "no-address" in machine
    assert all("INTERNAL" in command for command in commands if "forwarding-rules create" in command)
    assert [command for command in commands if "--allow-unauthenticated" in command] == [commands[-1]]
    assert "BACKEND_API_KEY=backend-api-key:latest" in commands[-1]


def test_a_machine_that_was_made_just_now_is_waited_for(stage: Stage) -> None:
    booting = Path(f"{stage.calls_file}.booting")
    booting.touch()
    refuse_once = f'[[ "$*" == *--command=true* ]] && rm "{booting}" 2>/dev/null && exit 255\n'
    stage.stand_in("gcloud", STAND_IN.replace("\n", f"\n{refuse_once}", 1))
    stage.stand_in("sleep", "#!/bin/bash\nexit 0\n")
    done = stage.run("llm-vm.sh")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--command=true") == 2
    refuse = '[[ "$*" == *--command=true* ]] && exit 255\n'
    stage.stand_in("gcloud", STAND_IN.replace("\n", f"\n{refuse}", 1))
    done = stage.run("llm-vm.sh")
    assert (done.returncode, "does not answer" in done.stderr) == (1, True)


def test_probes_keep_to_what_cloud_run_allows(stage: Stage) -> None:
    stage.run("backend.sh")
    (deployment,) = [call for call in stage.calls() if call[2:5] == ["--quiet", "run", "deploy"]]
    for option in ("--startup-probe=", "--liveness-probe="):
        (probe,) = [word.removeprefix(option) for word in deployment if word.startswith(option)]
        limits = dict(part.split("=") for part in probe.split(","))
        assert int(limits["timeoutSeconds"]) <= int(limits["periodSeconds"])
        assert int(limits["periodSeconds"]) * int(limits["failureThreshold"]) <= 240


@pytest.mark.parametrize("script", STEPS)
def test_a_missing_setting_or_a_wrong_option_is_named(stage: Stage, script: str) -> None:
    done = stage.run(script, "--dry-run", PROJECT="")
    assert (done.returncode, "PROJECT is not set" in done.stderr) == (2, True)
    done = stage.run(script, "--dry-rum")
    assert (done.returncode, "unknown option --dry-rum" in done.stderr) == (2, True)
    assert stage.calls() == []
    done = stage.run(script, "--help")
    assert (done.returncode, "--dry-run" in done.stdout) == (0, True)


def test_every_setting_that_is_needed_is_in_the_example() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (CLOUD / "cloud.env.example").read_text(), re.MULTILINE))
    needed = set()
    for script in STEPS:
        for line in re.findall(r"^need (.*)$", (CLOUD / script).read_text(), re.MULTILINE):
            needed |= set(line.split())
    assert needed == example


# --- on the VM ----------------------------------------------------------------------------------


def release(folder: Path) -> Path:
    """A release archive with what the installation looks for."""
    archive = folder / "release.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(UNIT, "deploy/cloud/llm-service.service")
        tar.add(ROOT / "dev.py", "dev.py")
    return archive


@pytest.fixture
def vm(stage: Stage, tmp_path: Path) -> Stage:
    note = '#!/bin/bash\nprintf "%q " "$(basename "$0")" "$@" >>"$CALLS"; echo >>"$CALLS"\n'
    for name in ("systemctl", "useradd", "python3", "journalctl"):
        stage.stand_in(name, note)
    stage.stand_in("id", "#!/bin/bash\nexit 1\n")
    stage.stand_in("gcloud", f"#!/bin/bash\necho {KEY}\n")
    stage.stand_in("curl", '#!/bin/bash\nexit "${NOT_READY:-0}"\n')
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    stage.variables |= {"PREFIX": str(tmp_path), "READY_S": "0"}
    return stage


def test_an_installation_puts_everything_in_place(vm: Stage, tmp_path: Path) -> None:
    done = vm.run("install-llm-service.sh", str(release(tmp_path)), LLM_MODEL="a/model")
    assert done.returncode == 0, done.stderr
    configuration = tmp_path / "etc" / "llm-service" / "env"
    assert configuration.read_text() == f"LLM_SERVICE_API_KEY={KEY}\nLLM_MODEL=a/model\n"
    assert configuration.stat().st_mode & 0o077 == 0
    assert KEY not in done.stdout + done.stderr + str(vm.calls())
    assert (tmp_path / "etc/systemd/system/llm-service.service").read_bytes() == UNIT.read_bytes()
    assert (tmp_path / "opt/llm-service/current/dev.py").is_file()
    assert ["systemctl", "restart", "llm-service.service"] in vm.calls()


def test_a_release_that_does_not_get_ready_is_taken_back(vm: Stage, tmp_path: Path) -> None:
    current = tmp_path / "opt/llm-service/current"
    assert vm.run("install-llm-service.sh", str(release(tmp_path))).returncode == 0
    good = current.resolve()
    done = vm.run("install-llm-service.sh", str(release(tmp_path)), NOT_READY="22")
    assert done.returncode == 1
    assert f"going back to {good}" in done.stderr
    assert current.resolve() == good
    assert vm.calls()[-1] == ["systemctl", "restart", "llm-service.service"]


def test_a_key_that_cannot_be_read_leaves_the_running_release_as_it_is(vm: Stage, tmp_path: Path) -> None:
    assert vm.run("install-llm-service.sh", str(release(tmp_path))).returncode == 0
    configuration, current = tmp_path / "etc/llm-service/env", (tmp_path / "opt/llm-service/current").resolve()
    before, calls = configuration.read_text(), len(vm.calls())
    vm.stand_in("gcloud", "#!/bin/bash\nexit 1\n")
    done = vm.run("install-llm-service.sh", str(release(tmp_path)))
    assert (done.returncode, "the key cannot be read" in done.stderr) == (1, True)
    assert configuration.read_text() == before
    assert (tmp_path / "opt/llm-service/current").resolve() == current
    assert not any(call[0] == "systemctl" for call in vm.calls()[calls:])


def test_an_installations_dry_run_changes_nothing(vm: Stage, tmp_path: Path) -> None:
    done = vm.run("install-llm-service.sh", "--dry-run", str(release(tmp_path)))
    assert done.returncode == 0
    assert "+ systemctl restart llm-service.service" in done.stdout
    assert vm.calls() == []
    assert not (tmp_path / "opt").exists()
    assert vm.run("install-llm-service.sh").returncode == 2


@needs_systemd
def test_systemd_accepts_the_unit_and_finds_little_to_attack(tmp_path: Path) -> None:
    # The interpreter it names is on the server, not here.
    text = UNIT.read_text()
    interpreter = "/opt/llm-service/current/llm_service/venv_llm/bin/python"
    assert text.count(f"ExecStart={interpreter} main.py") == 1
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(interpreter, sys.executable))
    verified = subprocess.run([str(SYSTEMD_ANALYZE), "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    unit.write_text(unit.read_text() + "\n[Service]\nProtectSytem=strict\n")
    verified = subprocess.run([str(SYSTEMD_ANALYZE), "verify", unit], capture_output=True, text=True, check=False)
    assert "ProtectSytem" in verified.stderr
    judged = subprocess.run(
        [str(SYSTEMD_ANALYZE), "security", "--offline=yes", "--threshold=20", UNIT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


def test_the_unit_sets_only_what_is_a_setting() -> None:
    known = set(
        re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )
    lines = re.findall(r"^Environment=(.*)$", UNIT.read_text(), re.MULTILINE)
    names = {part.partition("=")[0] for line in lines for part in line.split()}
    assert names - known == {"ENV_FILES", "HOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
