"""The documentation keeps up with the code: settings, commands, routes, make targets and links."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from tidemark.base.settings import Settings
from tidemark.catalog.resources import RESOURCES, Resource
from tidemark.cli.main import serve, tidemark
from tidemark.readings.optional_columns import OPTIONAL, OptionalColumn
from tidemark.server.application import ROUTES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMON_OPTIONS = {"--json", "--help"}


def text(name: str) -> str:
    """A page of the documentation."""
    return (ROOT / name).read_text(encoding="utf-8")


class Unset(Mapping[str, str]):
    """An environment without variables that notes which ones are asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_every_setting_is_described_and_every_described_one_exists() -> None:
    environment = Unset()
    Settings.from_environment(environment)
    described = re.findall(r"^\| `(TIDEMARK_\w+)` \|", text("docs/settings.md"), re.MULTILINE)
    assert sorted(described) == sorted(environment.asked)
    assert set(re.findall(r"TIDEMARK_[A-Z_]+[A-Z]", text("docs/settings.md"))) <= environment.asked


def test_settings_name_their_flags() -> None:
    flags = dict(re.findall(r"^\| `(TIDEMARK_\w+)` \| `(--[\w-]+)` \|", text("docs/settings.md"), re.MULTILINE))
    of_serve = {
        match[1]: option.opts[0]
        for option in serve.params
        if isinstance(option, click.Option) and (match := re.search(r"\[(TIDEMARK_\w+)\]", option.help or ""))
    }
    assert flags == of_serve


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its full name."""
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from commands(inner, f"{name} {part}")
    else:
        yield name, command


COMMANDS = dict(commands(tidemark, "tidemark"))


def sections() -> Mapping[str, str]:
    """The sections of docs/commands.md that describe a command, by its name."""
    parts = re.split(r"^#{2,3} (.*)\n", text("docs/commands.md"), flags=re.MULTILINE)
    return {title.strip("`"): body for title, body in zip(parts[1::2], parts[2::2], strict=True) if title[0] == "`"}


def test_every_command_is_described_and_every_described_one_exists() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_with_its_options_and_no_others(name: str) -> None:
    described = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", sections()[name]))
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    assert described | COMMON_OPTIONS == options | COMMON_OPTIONS


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_what_deleting_does_is_told_in_the_same_words(resource: Resource) -> None:
    name = f"tidemark {resource.name.replace('_', '-')} delete"
    assert resource.deletion in " ".join(sections()[name].split())
    assert resource.deletion in (COMMANDS[name].help or "")


@pytest.mark.parametrize("route", sorted({f"{route.method} {route.path}" for route in ROUTES}))
def test_every_route_is_described(route: str) -> None:
    whole = re.compile(rf"{re.escape(route)}/?(?![\w/{{-])")
    assert any(whole.search(page.read_text(encoding="utf-8")) for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("column", OPTIONAL, ids=lambda column: column.name)
def test_every_optional_column_is_described(column: OptionalColumn) -> None:
    assert f"`{column.name}`" in text("docs/bulk-readings.md")
    assert f"`{column.name}`" in text("docs/sensor-api.md")
    assert f"`{column.parameter}`" in text("docs/sensor-api.md")


def test_every_make_target_with_a_help_text_is_described() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", text("Makefile"), re.MULTILINE)
    pages = text("README.md") + text("docs/commands.md")
    assert targets
    assert [target for target in targets if not re.search(rf"make {target}\b", pages)] == []


def test_running_says_how_to_call_the_commands() -> None:
    steps = subprocess.run(["make", "--dry-run", "run"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^echo .*\.venv/bin/tidemark --help", steps, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+://", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_lists_every_page() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)", text("docs/README.md")))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def anchors(page: Path) -> set[str]:
    """The anchors that headings of a page get where Markdown is shown: lower case, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
