"""Who may import whom: the contracts in pyproject.toml, and imports that a contract cannot express."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.architecture.tree import PACKAGE, ROOT, modules

# Module prefixes that may import a library; every other module may not.
ONLY_IN = {
    "cuda": ("runtime.cuda",),
    "pydantic": (
        "build.emotivoice_config",
        "build.recipe",
        "bundle.manifest",
        "bundle.manifest_errors",
        "server",
        "voices.voice_file",
    ),
    "tensorrt": ("runtime.tensorrt_library",),
    "tensorrt_rtx": ("runtime.tensorrt_library",),
    "tensorrt_rtx_bindings": ("runtime.tensorrt_library",),
    "torch": (
        "build",
        "evaluation.speaker_encoder",
        "models",
        "runtime.eager",
        "runtime.torch_device",
        "runtime.torch_probe",
        "runtime.torch_speech",
        "training",
    ),
    "onnx": ("build", "runtime.eager", "training"),
    "onnxruntime": ("bench", "build", "cli.doctor", "evaluation", "runtime.ort", "training"),
    "fastapi": ("deploy.ray_serve", "server"),
    "prometheus_client": ("server",),
    "starlette": ("server",),
    "uvicorn": ("server",),
}


def test_import_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    with warnings.catch_warnings(), enabled_loggers():
        warnings.simplefilter("ignore")
        from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

        status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, is_debug_mode=False)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


@contextmanager
def enabled_loggers() -> Iterator[None]:
    """Undo what import-linter's logging does to everybody else's: it disables every logger that exists."""
    loggers = [item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    enabled = [item for item in loggers if not item.disabled]
    yield
    for item in enabled:
        item.disabled = False


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_library_stays_where_it_belongs(library: str) -> None:
    allowed = ONLY_IN[library]
    strays = [
        name
        for path in modules()
        if library in imported_libraries(path) and not (name := module_name(path)).startswith(allowed)
    ]
    assert not strays, f"{library} may be imported only in {allowed}, but is in {strays}"


def test_environment_variables_are_read_in_one_module() -> None:
    readers = [module_name(path) for path in modules() if reads_environment(path)]
    assert readers == ["environment"], f"read the environment in emotirt.environment, not in {readers}"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imported_libraries(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def reads_environment(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in ("environ", "getenv")
        for node in ast.walk(ast.parse(path.read_bytes()))
    )
