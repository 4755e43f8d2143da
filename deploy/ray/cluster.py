"""Starts Ray's nodes for the LLM service and deploys it to them (docs/ray.md).

    python deploy/ray/cluster.py head                     # this machine, reachable from itself only
    python deploy/ray/cluster.py deploy [FILE]            # what serve.yaml says; again after every change
    python deploy/ray/cluster.py status
    python deploy/ray/cluster.py head --node-ip 10.0.0.1  # others may join
    python deploy/ray/cluster.py join 10.0.0.1:6379 --node-ip 10.0.0.2

To be run by the Python that Ray is installed for. ``head`` and ``join`` stay in the foreground and end the node
with Ctrl-C or SIGTERM. Options after ``--`` go to ``ray start`` or ``serve``.
"""

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LLM_SERVICE = ROOT / "llm_service"
TOKEN = ROOT / ".data" / "ray" / "token"
LOOPBACK = "127.0.0.1"


def environment(node_ip: str) -> dict[str, str]:
    """Return the environment variables of Ray's processes and clients."""
    ours = {
        # Makes the deployment importable in every process of Ray.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_errors:middlewares",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Despite its name, this enables multi-node clusters on every system. With 1, Linux's default, Ray replaces
        # the loopback address by the machine's external one and exposes all its ports.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if node_ip == LOOPBACK else "1",
    }
    wishes = {
        # Access to a port of Ray allows running code, so require a token.
        "RAY_AUTH_MODE": "token",
        **({} if "RAY_AUTH_TOKEN" in os.environ else {"RAY_AUTH_TOKEN_PATH": str(TOKEN)}),
    }
    return {**wishes, **os.environ, **ours}


def make_token(path: Path) -> None:
    """Create the cluster's token, readable by its owner only, unless it exists."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    at = list(argv).index("--") if "--" in argv else len(argv)
    options, more = _parser().parse_args(argv[:at]), list(argv[at + 1 :])
    variables = environment(getattr(options, "node_ip", LOOPBACK))
    if options.command == "deploy" and (open_at := _open_without_key(options.file)):
        sys.stderr.write(f"{options.file}: {open_at} can be reached by others: set LLM_SERVICE_API_KEY too\n")
        return 2
    if options.command == "head" and "RAY_AUTH_TOKEN_PATH" in variables:
        make_token(Path(variables["RAY_AUTH_TOKEN_PATH"]))
    return _run(_command(options) + more, variables)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    head, join = commands.add_parser("head"), commands.add_parser("join")
    join.add_argument("address", metavar="HOST:PORT", help="the head's")
    head.add_argument("--port", type=int, default=6379, help="where nodes join (default 6379)")
    head.add_argument("--dashboard-port", type=int, default=8265, help="default 8265")
    for node in (head, join):
        node.add_argument("--node-ip", default=LOOPBACK, metavar="IP", help=f"this machine's (default {LOOPBACK})")
    deploy = commands.add_parser("deploy")
    deploy.add_argument("file", nargs="?", default=HERE / "serve.yaml", type=Path)
    for asking in (deploy, commands.add_parser("status")):
        asking.add_argument("--dashboard", default=f"http://{LOOPBACK}:8265", metavar="URL", help="the head's")
    return parser


def _open_without_key(file: Path) -> str:
    """Return the non-loopback address that a configuration opens without an API key, if any."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    sys.path.insert(0, str(LLM_SERVICE))
    from service_kit.addresses import is_loopback

    from config.settings import settings

    if settings.has_keys:
        return ""
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    hosts = [wanted.get("http_options", {}).get("host", LOOPBACK)]
    hosts += [each.get("args", {}).get("door_host", LOOPBACK) for each in wanted.get("applications", ())]
    return next((host for host in hosts if not is_loopback(host)), "")


def _command(options: argparse.Namespace) -> list[str]:
    start = ["ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    if options.command == "head":
        # The dashboard accepts jobs, which run code, so it always stays on loopback.
        dashboard = [f"--dashboard-host={LOOPBACK}", f"--dashboard-port={options.dashboard_port}"]
        return [*start, "--head", f"--node-ip-address={options.node_ip}", f"--port={options.port}", *dashboard]
    if options.command == "join":
        return [*start, f"--address={options.address}", f"--node-ip-address={options.node_ip}"]
    asked = [str(options.file.resolve())] if options.command == "deploy" else []
    return ["ray.serve.scripts", options.command, *asked, "--address", options.dashboard]


def _run(command: list[str], variables: dict[str, str]) -> int:
    module, *arguments = command
    # Neither command can be run with ``python -m``.
    code = f"import sys; from {module} import cli; sys.argv[0] = 'ray'; cli()"
    line = [sys.executable, "-c", code, *arguments]
    if os.name == "posix":
        # Replace this process, so that signals reach Ray itself.
        os.execve(sys.executable, line, variables)  # noqa: S606 - a list, and our own interpreter
    return subprocess.call(line, env=variables)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
