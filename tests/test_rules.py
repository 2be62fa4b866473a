"""Each rule about a field exists once: over HTTP, in an operation and on the command line, the same values are refused
with the same message, which names the field as it is called there."""

from typing import Any

import pytest
from click.testing import CliRunner
from tidemark.base.errors import FieldError
from tidemark.base.values import clock
from tidemark.cli.main import tidemark
from tidemark.coldchain.operation import read_operation

from tests.catalog.test_management import assert_refused
from tests.coldchain.requests import get
from tests.conftest import Tenant

RULES: list[tuple[list[Any], dict[str, str]]] = [
    # Bad values, and the field: of a resource or the organization, of a query, of an operation, of a command.
    (
        [" ", "a\x07b", "a\u2028b"],
        {"http": "POST sensors name", "operation": "check_in crop", "command": "sensor create --name"},
    ),
    (["x" * 501], {"http": "POST sensors name", "query": "latest sensors", "command": "org create NAME"}),
    (["a,b", "a/b", 'a"b', " a", ".."], {"http": "POST sensors id", "command": "sensor create --id"}),
    (["a,b", "a/b", " a", "."], {"http": "POST sites siteId", "command": "site create --site-id"}),
    (
        ["0", "x", "-1", "1.5", "2147483648", "9" * 30],
        {
            "http": "POST sensors asset_id",
            "query": "latest asset_id",
            "operation": "check_in cooling_unit_id",
            "command": "sensor create --asset-id",
        },
    ),
    (
        ["US", "U$D", "USDT"],
        {"http": "PATCH organization currency", "operation": "check_out currency", "command": "org update --currency"},
    ),
    (["N", "N1", "NGA"], {"http": "PATCH organization country", "command": "org update --country"}),
    (
        ["Mars/Base", "localtime", "utc"],
        {
            "http": "PATCH organization timezone",
            "query": "series timezone",
            "command": "site create --timezone",
        },
    ),
    (["https://example.com", "a b", "-a.com"], {"http": "POST sites domain", "command": "site create --domain"}),
    (["yes", "1"], {"http": "POST sites isActive", "command": "site create --is-active"}),
    (
        ["0", "-1", "nan", "1e16"],
        {"http": "POST cooling-units capacity_kg", "command": "cooling-unit create --capacity-kg"},
    ),
    ([["root"], ["admin", "x"]], {"http": "POST api-tokens scopes", "command": "token create --scope"}),
    ([["0"], ["1", "x"]], {"http": "POST api-tokens cooling_unit_ids", "command": "token create --cooling-unit-id"}),
    (["0", "many"], {"http": "POST api-tokens rate_limit", "command": "token create --rate-limit"}),
    (
        ["2001-01-31", "1960-01-31T00:00:00Z", "soon", "2030-02-31"],
        {"http": "POST api-tokens expires_at", "command": "token create --expires-at"},
    ),
    (
        ["1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "yesterday", "2020-02-31T00:00:00Z"],
        {"query": "series start", "command": "export --start"},
    ),
]
REQUIRED: dict[str, dict[str, Any]] = {"api-tokens": {"scopes": ["admin"]}, "sites": {"domain": "example.com"}}
QUERIES: dict[str, dict[str, Any]] = {
    "series": {"sensors": "s", "start": "2026-01-01", "end": "2026-01-02"},
    "latest": {},
}
OPERATION: dict[str, Any] = {
    "id": "1",
    "occurred_at": "2026-01-01",
    "user_id": "u",
    "cooling_unit_id": 1,
    "crop": "kale",
}
OPERATIONS = {
    "check_in": {**OPERATION, "crates": 1, "weight_kg": 1},
    "check_out": {**OPERATION, "crates": 1, "weight_kg": 1, "amount": 1, "payment_status": "paid"},
}


async def http(tenant: Tenant, words: str, value: Any) -> tuple[str, str]:
    """The error for a document over HTTP: the field's name and the message."""
    method, path, field = words.split()
    answer = await tenant.manage(method, path, {**REQUIRED.get(path, {}), field: value})
    return field, await assert_refused(answer, 400, "invalid_request", field)


async def query(tenant: Tenant, words: str, value: str) -> tuple[str, str]:
    """The error for a query over HTTP, in the same form."""
    path, field = words.split()
    answer = await get(tenant, path, tenant.bearer, **{**QUERIES[path], field: value})
    return field, await assert_refused(answer, 400, "invalid_request", field)


def operation(words: str, value: Any) -> tuple[str, str]:
    """The error for an operation, in the same form."""
    kind, field = words.split()
    with pytest.raises(FieldError) as refused:
        read_operation({"type": kind, **OPERATIONS[kind], field: value}, clock())
    assert refused.value.field == field
    return field, refused.value.message


def command(words: str, value: Any) -> tuple[str, str]:
    """The error of a command before it opens a database, in the same form."""
    *names, option = words.split()
    values = value if isinstance(value, list) else [value]
    given = [part for one in values for part in ((option, one) if option.startswith("--") else (one,))]
    required = {"token": ["--scope", "admin"], "site": ["--domain", "example.com"]}.get(names[0], [])
    done = CliRunner(env={"TIDEMARK_DATABASE_URL": "postgresql://127.0.0.1:1/none"}).invoke(
        tidemark, [*names, *([] if option in required else required), *given], standalone_mode=False
    )
    assert isinstance(done.exception, FieldError), (done.exception, done.output)
    assert done.exception.field == option
    return option, done.exception.message


@pytest.mark.parametrize(("values", "places"), RULES, ids=[places["command"] for _, places in RULES])
async def test_a_field_is_refused_with_the_same_message_everywhere(
    values: list[Any], places: dict[str, str], tenant: Tenant
) -> None:
    for value in values:
        errors = [command(places["command"], value)]
        if "http" in places:
            errors.append(await http(tenant, places["http"], value))
        if "query" in places:
            errors.append(await query(tenant, places["query"], value))
        if "operation" in places:
            errors.append(operation(places["operation"], value))
        assert len(errors) == len(places) > 1
        assert len({message.replace(name, "FIELD", 1) for name, message in errors}) == 1, errors


def test_a_missing_field_is_refused_with_the_same_message() -> None:
    for words in (("token", "create"), ("site", "create")):
        done = CliRunner().invoke(tidemark, words, standalone_mode=False)
        assert isinstance(done.exception, FieldError)
        assert done.exception.message == f"{done.exception.field} is missing."
        assert done.exception.field in ("--scope", "--domain")
