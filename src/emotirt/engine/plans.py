"""Plans that are not there yet: built on this machine before the first word, in a process of their own.

Building needs ONNX and the GPU, and TensorRT's builder takes a gigabyte; the process that serves keeps none of it.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys

from emotirt.bundle.store import Bundle
from emotirt.engine.backend import gpu_stages
from emotirt.errors import BackendUnavailable
from emotirt.runtime.open import default_threads
from emotirt.runtime.trt_open import missing_stages, needed_stages, parsed_name

logger = logging.getLogger(__name__)


MOST_JOBS = 4
"""Plans built at once; each takes a core and a gigabyte, and more of them mostly wait for the GPU."""


def make_missing_plans(bundle: Bundle, backend: str) -> None:
    """Build the plans of a bundle that a GPU's backend needs and the plan cache lacks; progress goes to standard error.

    Args:
        bundle: opened.
        backend: of a GPU, by name.

    Raises: BackendUnavailable: there is no GPU or no TensorRT, or the build failed; its own words stand before.
    """
    missing = missing_stages(bundle, needed_stages(gpu_stages(bundle)), backend)
    if not missing:
        return
    target, precision = parsed_name(backend)
    logger.warning(
        "building the %s plans of %s for %s; this takes minutes, once", precision, ", ".join(missing), target
    )
    command = [sys.executable, "-m", "emotirt", "build", "--target", target, "--precision", precision]
    command += ["--jobs", str(min(MOST_JOBS, default_threads()))]
    command += ["--bundle", str(bundle.path), *(word for stage in missing for word in ("--stage", stage))]
    done = subprocess.run(command, check=False, stdout=sys.stderr.fileno() if _has_file(sys.stderr) else None)
    if done.returncode != 0:
        raise BackendUnavailable(
            f"the plans of {', '.join(missing)} could not be built (exit code {done.returncode}); "
            f"run it again to see why: {shlex.join(('python', *command[1:]))}"
        )


def _has_file(stream: object) -> bool:
    try:
        stream.fileno()  # type: ignore[attr-defined]  # asked for exactly that
    except (AttributeError, OSError):
        return False
    return True
