"""The documentation: its Python code runs, its commands and settings are valid, its links lead to existing targets."""

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from skimage.data import astronaut

from rsn.cli import parse
from rsn.cli.overrides import flatten_overrides
from rsn.cli.train import Train
from rsn.io.images import write_image
from rsn.training.detection import read_any_recipe
from rsn.training.recipe import read_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in a language; "" means commands."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def rsn_commands(page: Path) -> Iterator[list[str]]:
    """Return the arguments of every `rsn ...` in the command blocks, also after torchrun's `-m`."""
    for block in code_blocks(page, ""):
        for line in re.findall(r"^(?:\S*/|.* -m )?rsn (.*)", block.replace("\\\n", ""), re.MULTILINE):
            yield shlex.split(line, comments=True)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Return file and anchor ("" for none) of every link to a file of the repository."""
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        yield (page.parent / target if target else page), anchor


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as MkDocs makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in plain}


def as_parameters(pages: Iterable[Path], slow: str = "") -> list[Any]:
    """Return pages as parameters of a test; the one named `slow` is marked slow."""
    return [pytest.param(page, id=page.stem, marks=pytest.mark.slow if page.stem == slow else ()) for page in pages]


# Exporting is slow, and tests/export runs an exported file too.
@pytest.mark.parametrize("page", as_parameters((page for page in PAGES if code_blocks(page, "python")), slow="export"))
def test_python_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(Path("image.jpg"), astronaut())
    exec(compile("\n".join(code_blocks(page, "python")), str(page), "exec"), {"__name__": "docs"})


def completes_fish() -> bool:
    """Whether the installed tyro writes completion scripts for fish."""
    return tuple(map(int, version("tyro").split("."))) >= (1, 0, 14)


@pytest.mark.parametrize("page", as_parameters(page for page in PAGES if any(rsn_commands(page))))
def test_commands_are_valid(page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The parser accepts all commands, and the recipe accepts the settings of `rsn train`; nothing runs."""
    monkeypatch.chdir(ROOT)
    for arguments in rsn_commands(page):
        if "fish" in arguments and not completes_fish():
            continue
        try:
            subcommand = parse(arguments)
        except SystemExit as stopped:
            if stopped.code:
                pytest.fail(f"rsn {shlex.join(arguments)}\n{capsys.readouterr().err}")
            continue
        if isinstance(subcommand, Train) and subcommand.recipe.exists():
            read_any_recipe(subcommand.recipe, flatten_overrides(subcommand.set))


@pytest.mark.parametrize("page", as_parameters(page for page in PAGES if code_blocks(page, "yaml")))
def test_yaml_settings_are_valid(page: Path, tmp_path: Path) -> None:
    for block in code_blocks(page, "yaml"):
        document = yaml.safe_load((ROOT / "recipes/coco/rsn18_256x192.yaml").read_text())
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(document | yaml.safe_load(block)))
        read_recipe(tmp_path / "recipe.yaml")


def test_documented_settings_exist() -> None:
    """The settings in the table of docs/train.md are those of a recipe."""
    recipe = read_recipe(ROOT / "recipes/coco/rsn18_256x192.yaml")
    rows = re.findall(r"^\| (`[^|]*`) \|", (ROOT / "docs/train.md").read_text(), re.MULTILINE)
    for row in rows[: next(i for i, row in enumerate(rows) if "max_unreadable_fraction" in row) + 1]:
        group = ""
        for name in re.findall(r"`([\w.*]+)`", row):
            group = name.rpartition(".")[0] or group
            value: Any = recipe
            for part in [*group.split("."), name.rpartition(".")[2]]:
                value = value if part in ("", "*") else getattr(value, part)


def test_named_files_and_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = []
    for page in PAGES:
        text = page.read_text()
        files = re.findall(r"(?<![\w/.-])(?:recipes|scripts|benchmarks|src)/[\w./-]*[\w/]", text)
        missing += [(page.name, file) for file in files if not (ROOT / file).exists()]
        named = re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)
        missing += [(page.name, target) for target in named if target not in targets]
    assert missing == []


def test_links_lead_to_existing_pages_and_headings() -> None:
    broken = [
        f"{page.name}: {target.name}#{anchor}"
        for page in PAGES
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


def test_documented_names_of_the_python_api_exist() -> None:
    names = re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    missing = []
    for name in names:
        module, _, attribute = name.rpartition(".")
        if not hasattr(import_module(module), attribute):
            missing.append(name)
    assert missing == []


def test_every_page_is_in_the_navigation() -> None:
    pages = set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert pages == {page.name for page in PAGES} - {"README.md"}


def test_conda_dependencies_are_those_of_the_package() -> None:
    (listed,) = re.findall(r"run dependencies (.*?) at the bounds", (ROOT / "docs/install.md").read_text(), re.DOTALL)
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in package["dependencies"]}
    conda_names = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}
    assert set(re.findall(r"`(.*?)`", listed)) == {conda_names.get(name, name) for name in needed}
