"""`tfzip list` names everything that can be named."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.cli.process import tfzip_here as tfzip
from tfzip.cli.list import KINDS, command, names_of


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_has_a_line(kind):
    names = names_of(kind)
    assert names
    assert all(summary for summary in names.values())
    output = CliRunner().invoke(command, [kind]).output
    assert all(f"  {name} " in output for name in names)


def test_the_listing_has_every_kind_also_as_json():
    found = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert sorted(found) == KINDS
    assert found["schemes"]["int8"] == "full integer"


def test_an_unknown_kind_suggests_the_near_one():
    done = tfzip("list", "schedule")
    assert done.returncode == 1
    assert "Did you mean 'schedules'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_listing_loads_no_framework():
    code = "import sys; from tfzip.cli.list import KINDS, names_of; [names_of(k) for k in KINDS];"
    check = code + "sys.exit(', '.join({'tensorflow', 'keras'} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
