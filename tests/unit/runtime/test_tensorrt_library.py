from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotirt.bundle.plans import TENSORRT, TENSORRT_8, TENSORRT_RTX
from emotirt.errors import BackendUnavailable
from emotirt.runtime.tensorrt_library import TARGET_RTX, TARGET_TENSORRT, is_installed, load_library


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose module ``tensorrt`` is found before any other."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    yield tmp_path / "tensorrt.py"
    sys.modules.pop("tensorrt", None)


@pytest.mark.skipif(is_installed(TARGET_TENSORRT), reason="TensorRT is installed")
def test_what_is_missing_is_named_with_its_remedy() -> None:
    with pytest.raises(BackendUnavailable, match=r"target tensorrt needs the package tensorrt: pip install 'emotirt\["):
        load_library(TARGET_TENSORRT)


@pytest.mark.skipif(not is_installed(TARGET_RTX), reason="TensorRT for RTX is not installed")
def test_tensorrt_for_rtx_is_loaded() -> None:
    library = load_library(TARGET_RTX)
    assert library.adapter == TENSORRT_RTX
    assert library.version == library.module.__version__


@pytest.mark.parametrize(
    ("version", "adapter"), [("8.6.0", TENSORRT_8), ("10.9.0.34", TENSORRT), ("11.4.0.106", TENSORRT)]
)
def test_the_version_decides_the_adapter(installed: Path, version: str, adapter: str) -> None:
    installed.write_text(f"__version__ = {version!r}\n", encoding="ascii")
    library = load_library(TARGET_TENSORRT)
    assert (library.adapter, library.version) == (adapter, version)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("__version__ = '9.3.0'", "TensorRT 9.3.0 is not supported; supported: 8.6, 10 and 11"),
        ("raise ImportError('libcublas.so.12: cannot open shared object file')", "cannot be loaded: libcublas.so.12"),
        ("raise FileNotFoundError('nvinfer_11.dll')", "cannot be loaded: nvinfer_11.dll"),
    ],
)
def test_what_does_not_serve_is_told(installed: Path, code: str, words: str) -> None:
    installed.write_text(code + "\n", encoding="ascii")
    with pytest.raises(BackendUnavailable, match=words):
        load_library(TARGET_TENSORRT)
