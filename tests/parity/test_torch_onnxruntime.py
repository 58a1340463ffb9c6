"""PyTorch against ONNX Runtime, stage by stage, from the smallest shapes to the largest and in between.

The reference is rebuilt from the very weights that lie in the graph, so that this checks the bundle as it is served.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.assets.make_tiny_bundle import TINY_STAGES

from emotirt.build.parity import CASES, ShapeCase, compare_stage
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.runtime.open import open_runner

BETWEEN = (
    ShapeCase("two", 2, 2, 3),
    ShapeCase("odd", 3, 31, 127),
    ShapeCase("wide", 8, 12, 64),
    ShapeCase("more tokens than frames", 2, 40, 25),
)
SHIPPED_CASES = (*CASES[:2], ShapeCase("typical", 1, 30, 120), ShapeCase("batch", 3, 40, 90))
"""Full-size networks take seconds at the largest shapes; the build that wrote the bundle compared those too."""


def compare(bundle: Bundle, stage: str, cases: tuple[ShapeCase, ...]) -> None:
    reference = open_runner(bundle, stage, "torch", threads=1)
    candidate = open_runner(bundle, stage, "onnxruntime", threads=1)
    differences = compare_stage(stage, reference, candidate, len(bundle.symbols), cases)
    outputs = {item.name for item in bundle.manifest.stages[stage].outputs}
    assert {(item.case.label, item.output) for item in differences} == {
        (case.label, output) for case in cases for output in outputs
    }


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_tiny_bundle(opened_bundle: Bundle, stage: str) -> None:
    compare(opened_bundle, stage, (*CASES, *BETWEEN))


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_shipped_bundle(stage: str) -> None:
    path: Path = default_bundle_path()
    if not path.is_dir():
        pytest.skip("this checkout holds no default bundle")
    bundle = open_bundle(path)
    if stage not in bundle.manifest.stages:
        pytest.skip(f"the default bundle has no {stage}")
    compare(bundle, stage, SHIPPED_CASES)
