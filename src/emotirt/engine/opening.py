"""What both engines are opened with: bundle, backend and threads, chosen and checked."""

from __future__ import annotations

from pathlib import Path

from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.errors import InvalidRequest
from emotirt.runtime.open import AUTO, default_threads, is_gpu_backend, resolve_backend


def opened_parts(bundle_path: Path | str | None, backend: str, threads: int | None) -> tuple[Bundle, str, int]:
    """Return the open bundle, the backend's name and the number of CPU threads.

    Args:
        bundle_path: directory of a bundle, None for the one inside the package.
        backend: a name of ``runtime.open.backends()`` or ``auto``.
        threads: CPU threads, None for one a core.

    Raises:
        BundleError: the bundle is missing, broken or tampered with.
        BackendError: the backend is unknown or missing, or its plans cannot be built.
        InvalidRequest: fewer threads than one.
    """
    if threads is not None and threads < 1:
        raise InvalidRequest(f"{threads} threads are not possible; give at least 1, or None for one a core")
    if backend != AUTO:
        resolve_backend(backend)  # before anything is read
    bundle = open_bundle(default_bundle_path() if bundle_path is None else bundle_path)
    chosen = resolve_backend(backend, bundle)
    if is_gpu_backend(chosen):
        from emotirt.engine.plans import make_missing_plans  # brings the workers along, which a CPU needs not

        make_missing_plans(bundle, chosen)
    return bundle, chosen, threads or default_threads()
