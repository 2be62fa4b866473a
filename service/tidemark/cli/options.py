"""The fields of what is managed as options of commands, by the rules that hold over HTTP too."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from tidemark.catalog.fields import Field, changes, checked

Command = TypeVar("Command", bound=Callable[..., Any])


def field_options(
    fields: Mapping[str, Field], leave_out: str | None = None, lists: Mapping[str, str] | None = None
) -> Callable[[Command], Command]:
    """Add an option for each field; `lists` has the options of fields that are lists, which may be repeated."""
    lists = lists or {}

    def decorate(command: Command) -> Command:
        for name, field in reversed(list(fields.items())):
            if name == leave_out:
                continue
            flag = lists.get(name) or f"--{re.sub(r'_|(?=[A-Z])', '-', name).lower()}"
            text = f"{field.help}; may be repeated" if name in lists else field.help
            nothing = _none_is_empty if field.keeps_null else None
            command = click.option(flag, name, multiple=name in lists, callback=nothing, help=text)(command)
        return command

    return decorate


def _none_is_empty(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """`none` and empty text both stand for null."""
    return "" if given is not None and given.lower() == "none" else given


def new_record(fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a new record, checked before a database is opened. Raises FieldError that names the option."""
    found = document(given)
    checked(fields, found, _option)
    return found


def changes_of(fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a change, checked before a database is opened. Raises FieldError that names the option."""
    found = document(given)
    changes(fields, found, _option)
    return found


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, as a JSON object over HTTP would have them; empty text stands for null."""
    return {
        name: (list(value) if isinstance(value, tuple) else None if value == "" else value)
        for name, value in given.items()
        if value is not None and value != ()
    }


def _option(field: str) -> str:
    """What the present command calls a field."""
    parameters = click.get_current_context().command.params
    parameter = next(one for one in parameters if one.name == field)
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
