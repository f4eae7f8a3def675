"""The code blocks of the documentation, run page by page as a reader would; its command lines, parsed."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsn.cli import parse
from rsn.cli.overrides import flat
from rsn.cli.train import Train
from rsn.training.recipe import read_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])


def blocks(page: Path, kind: str) -> list[str]:
    """The page's blocks of code that are marked as python, yaml, ...; "" finds those of commands."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def pages_with(kind: str, *, slow: str | None = None) -> list[Any]:
    """Pages that have such a block, as parameters of a test."""
    pages = [page for page in PAGES if blocks(page, kind)]
    return [
        pytest.param(page, id=page.stem, marks=pytest.mark.slow if page.stem == slow else ())
        for page in pages
    ]


# Exporting takes long; what runs the exported file is run in tests/exporting too.
@pytest.mark.parametrize("page", pages_with("python", slow="export"))
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(page, "python")), str(page), "exec"), {"__name__": "docs"})


def asked_of_rsn(page: Path) -> Iterator[list[str]]:
    """The arguments of every `rsn ...` in the page's blocks of commands, torchrun's `-m rsn ...` included."""
    for block in blocks(page, ""):
        for line in re.findall(r"^(?:\S*/|.* -m )?rsn (.*)", block.replace("\\\n", ""), re.MULTILINE):
            yield shlex.split(line, comments=True)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(asked_of_rsn(page))], ids=lambda page: page.stem
)
def test_commands_are_understood(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Subcommands and options go through the parser, a training's settings through its recipe; nothing is run."""
    monkeypatch.chdir(ROOT)
    for arguments in asked_of_rsn(page):
        try:
            subcommand = parse(arguments)
        except SystemExit as stopped:
            if stopped.code:
                pytest.fail(f"rsn {shlex.join(arguments)}\n{capsys.readouterr().err}")
            continue
        if isinstance(subcommand, Train) and subcommand.recipe.exists():
            read_recipe(subcommand.recipe, flat(subcommand.set))


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_settings_fit_into_a_recipe(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "yaml"):
        document = yaml.safe_load((ROOT / "recipes/coco/rsn18_256x192.yaml").read_text())
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(document | yaml.safe_load(block)))
        read_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_targets_that_are_named_are_there(page: Path) -> None:
    files = re.findall(r"(?<![\w/.-])(?:recipes|scripts|benchmarks|src)/[\w./-]*[\w/]", page.read_text())
    assert not [file for file in files if not (ROOT / file).exists()]
    targets = re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)
    assert set(targets) <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_page_is_on_the_site() -> None:
    on_site = set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert on_site == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_conda_needs_what_the_package_does() -> None:
    (named,) = re.findall(
        r"run dependencies (.*?) at the bounds", (ROOT / "docs/install.md").read_text(), re.DOTALL
    )
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in package["dependencies"]}
    of_conda = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}
    assert set(re.findall(r"`(.*?)`", named)) == {of_conda.get(name, name) for name in needed}
