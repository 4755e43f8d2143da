"""Repository layout: the two apps, their environments, and the folder for generated files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

WINDOWS = os.name == "nt"


@dataclass(frozen=True)
class App:
    """One of the two apps: its folder, its virtual environment and its host and port variables."""

    name: str
    label: str
    folder: Path
    venv: Path
    host_variable: str
    port_variable: str
    default_port: int
    extra_dev_requirements: tuple[Path, ...] = ()

    @property
    def python(self) -> Path:
        """The interpreter of the app's virtual environment, whether or not it exists yet."""
        return self.venv / ("Scripts/python.exe" if WINDOWS else "bin/python")

    @property
    def requirements(self) -> tuple[Path, ...]:
        """The existing requirement files of the environment."""
        names = ("requirements.txt", "constraints.txt", "requirements-models.txt")
        files = (*(self.folder / name for name in names), self.folder.parent / "service_kit" / "pyproject.toml")
        return tuple(path for path in files if path.is_file())

    @property
    def dev_requirements(self) -> tuple[Path, ...]:
        """Additional requirement files of tests and checks."""
        files = (self.folder / "requirements-dev.txt", *self.extra_dev_requirements)
        return tuple(path for path in files if path.is_file())


@dataclass(frozen=True)
class Workspace:
    """A checkout of the repository."""

    root: Path

    @property
    def data(self) -> Path:
        """The folder for generated files, which may be deleted."""
        return self.root / ".data"

    @property
    def logs(self) -> Path:
        """Logs of set-up and of the services."""
        return self.data / "logs"

    @property
    def llm_service(self) -> App:
        """The LLM service on port 8001."""
        folder = self.root / "llm_service"
        # Optional: Ray Serve, which `dev.py up` does not use.
        extra = (self.root / "deploy" / "ray" / "requirements.txt",)
        variables = ("LLM_SERVICE_HOST", "LLM_SERVICE_PORT")
        return App("llm_service", "llm", folder, folder / "venv_llm", *variables, 8001, extra)

    @property
    def backend(self) -> App:
        """The RAG backend on port 8000; end-to-end tests run in its environment."""
        folder = self.root / "backend"
        extra = (self.root / "tests" / "requirements.txt",)
        return App("backend", "backend", folder, folder / "venv", "BACKEND_HOST", "BACKEND_PORT", 8000, extra)

    @property
    def apps(self) -> tuple[App, App]:
        """Both apps, the one with the longer set-up first."""
        return self.llm_service, self.backend
