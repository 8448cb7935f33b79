from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("helpers")  # whose assertions are to tell values too

# The machines that run this differ in speed and the tests must not depend on it; a failure should
# print the example and be found again.
settings.register_profile("fastpolysem", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("fastpolysem")

# Beside other processes, threads that spin while they wait for each other double the time of short
# trainings. OpenMP reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell's background job is started with Ctrl-C ignored, and so would be what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
