"""Fields of what is managed as command line options, one flag each."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from tidemark.catalog.fields import Field

Command = TypeVar("Command", bound=Callable[..., Any])


def field_options(fields: Mapping[str, Field], leave_out: str | None = None) -> Callable[[Command], Command]:
    """Add an option for each field; what is not given is not passed on."""

    def decorate(command: Command) -> Command:
        for name, field in reversed(list(fields.items())):
            if name != leave_out:
                flag = re.sub(r"_|(?=[A-Z])", "-", name).lower()
                command = click.option(f"--{flag}", name, help=field.help)(command)
        return command

    return decorate


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, as a JSON object over HTTP would have them; empty text stands for null."""
    return {
        name: (list(value) if isinstance(value, tuple) else None if value == "" else value)
        for name, value in given.items()
        if value is not None and value != ()
    }
