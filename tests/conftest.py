from __future__ import annotations

from hypothesis import settings

# The machines that run this differ in speed and the tests must not depend on it; a failure should
# print the example and be found again.
settings.register_profile("fastpolysem", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("fastpolysem")
