"""The doctor on the two environments: made, current, their packages whole and importable, PyTorch's build."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devtools.doctor.findings import Finding, ask_python, fail, ok, run_python, warn
from devtools.layout import Workspace
from devtools.processes import describe_exit
from devtools.setup.environments import is_current, why_unmade

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
    """Whether the required packages are installed in the required versions, and can be imported."""
    for app in workspace.apps:
        if why_unmade(app) or not is_current(app):
            continue  # reported above; the same command corrects it
        subject = f"packages of {app.name}"
        asked = [str(path) for path in app.requirements if path.name != "constraints.txt"]
        # Isolated: the folder of the probe holds modules named like other people's packages.
        done = run_python(app, "-I", "-X", "utf8", _PROBE, *asked, limit_s=_IMPORTS_S)
        if done is None:
            yield fail(subject, "cannot be examined", _FRESH)
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
    torch = ask_python(app, "-c", _GPU_QUESTION, limit_s=120)
    if not torch:
        return fail("PyTorch", "cannot be imported", _FRESH)
    version = torch["version"]
    if torch["usable"]:
        return ok("PyTorch", f"{version}, and a GPU it can use")
    if torch["built"] and not shutil.which("nvidia-smi"):
        return warn(
            "PyTorch",
            f"{version} is a build for CUDA, and there is no GPU: it works, and takes 5 GB more than needed",
            "point PIP_EXTRA_INDEX_URL at PyTorch's CPU builds (docs/settings.md); then dev.py setup --fresh",
        )
    if torch["built"]:
        return warn("PyTorch", f"{version} cannot use this machine's GPU", "update the NVIDIA driver (`nvidia-smi`)")
    return ok("PyTorch", f"{version}, for the processor")
