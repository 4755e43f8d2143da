"""The doctor on the two environments: made, current, their packages whole and importable, PyTorch's build."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devtools.environments import is_current, why_unmade
from devtools.findings import Finding, fail, ok, warn
from devtools.layout import Workspace
from devtools.processes import child_environment, describe_exit

_PROBE = Path(__file__).with_name("probe_packages.py")
_IMPORTS_S = 300
_FRESH = "dev.py setup --fresh"
_GPU_QUESTION = (
    "import torch,json;print(json.dumps({'built': torch.version.cuda, 'usable': torch.cuda.is_available(),"
    "'version': torch.__version__}))"
)


def environments(workspace: Workspace) -> Iterator[Finding]:
    """Whether both environments are complete and current."""
    for app in workspace.apps:
        subject = f"environment of {app.name}"
        reason = why_unmade(app)
        if reason:
            yield warn(subject, f"not usable: {reason}", "dev.py setup (`dev.py up` does it, too)")
        elif not is_current(app):
            yield warn(subject, "its requirements have changed", "dev.py setup (`dev.py up` does it, too)")
        else:
            tests = "" if is_current(app, dev=True) else "; what tests need is not installed yet"
            yield ok(subject, f"complete{tests}")


def packages(workspace: Workspace) -> Iterator[Finding]:
    """Whether what the requirements name is installed in that version, and can be imported."""
    for app in workspace.apps:
        if why_unmade(app) or not is_current(app):
            continue  # told above, and mended by the same command
        subject = f"packages of {app.name}"
        asked = [str(path) for path in app.requirements if path.name != "constraints.txt"]
        # Isolated: the folder of the probe holds modules named like other people's packages.
        command = [str(app.python), "-I", "-X", "utf8", str(_PROBE), *asked]
        try:
            done = subprocess.run(
                command, cwd=app.folder, env=child_environment(), timeout=_IMPORTS_S,
                capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as fault:
            yield fail(subject, f"cannot be looked at: {type(fault).__name__}", _FRESH)
            continue
        reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"package"')]
        yield from _judge(subject, reports, done.returncode)


def _judge(subject: str, reports: list[dict[str, Any]], status: int) -> Iterator[Finding]:
    broken = [(report["package"], report["problem"]) for report in reports if report.get("problem")]
    if status and reports:
        # The last one was announced and never judged: importing it ended the process.
        broken.append((reports[-1]["package"], f"importing it ends Python ({describe_exit(status)})"))
    for name, problem in broken:
        yield fail(subject, f"{name}: {problem}", _FRESH)
    if not broken:
        names = {report["package"] for report in reports}
        yield ok(subject, f"all {len(names)} installed as pinned, and importable")


def graphics(workspace: Workspace) -> Finding:
    """Whether PyTorch is the build for this machine (one for CUDA takes 5 GB more than one without)."""
    app = workspace.llm_service
    if why_unmade(app):
        return ok("PyTorch", "not installed yet")
    try:
        answer = subprocess.run(
            [app.python, "-c", _GPU_QUESTION],
            capture_output=True, text=True, timeout=120, check=True, env=child_environment(),
        )  # fmt: skip
        torch = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return fail("PyTorch", "cannot be imported", "dev.py setup --fresh")
    version = torch["version"]
    if torch["usable"]:
        return ok("PyTorch", f"{version}, and a GPU it can use")
    if torch["built"] and not shutil.which("nvidia-smi"):
        return warn(
            "PyTorch",
            f"{version} is a build for CUDA, and there is no GPU: it works, and takes 5 GB more than needed",
            "point PIP_EXTRA_INDEX_URL at PyTorch's CPU builds (README, Installation); then dev.py setup --fresh",
        )
    if torch["built"]:
        return warn("PyTorch", f"{version} cannot use this machine's GPU", "update the NVIDIA driver (`nvidia-smi`)")
    return ok("PyTorch", f"{version}, for the processor")
