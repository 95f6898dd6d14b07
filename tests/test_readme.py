"""What the documentation tells people to type exists: commands, options, names, files."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import tfzip
from tfzip.cli import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def ids(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_in_a_page_has_the_options_it_is_shown_with(page):
    for block in BLOCK.findall(page.read_text()):
        for name, rest in re.findall(r"^\$? ?tfzip ([a-z]+)(.*)$", block, re.MULTILINE):
            assert name in COMMANDS, f"{page.name}: tfzip {name}"
            known = {option for p in import_module(f"tfzip.cli.{name}").command.params for option in p.opts}
            for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest.split("#")[0]):
                assert option in known, f"{page.name}: tfzip {name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_name_in_a_page_is_public(page):
    for block in BLOCK.findall(page.read_text()):
        for name in re.findall(r"(?<![\w.])tfzip\.([A-Za-z_]\w*)", block):
            assert hasattr(tfzip, name) or name in ("recipe", "tflite", "graph", "sources", "runtime"), (
                f"{page.name}: tfzip.{name}"
            )


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_in_a_page_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_in_the_pages_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"(?:`|^)make ([a-z-]+)(?:`| +#|$)", page.read_text(), re.MULTILINE):
            assert name in targets, f"{page.name}: make {name}"
