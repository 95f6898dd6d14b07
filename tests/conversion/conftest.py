"""Conversions of these tests share a warm child."""

import pytest


@pytest.fixture(autouse=True)
def _convert_in_the_warm_child(convert_in_the_warm_child):
    pass
