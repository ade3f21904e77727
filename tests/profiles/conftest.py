"""Laws assert outside of test files; pytest explains their asserts as well once it is told of them."""

import pytest

pytest.register_assert_rewrite("killick.testing.laws")
