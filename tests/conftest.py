"""Settings shared by all tests; parts and fixtures live beside the tests that use them."""

import os

# Before numpy, onnxruntime or torch start their thread pools: small tensors, many tests, few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# No timing in tests: the machine may be busy. Continuous integration draws the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
