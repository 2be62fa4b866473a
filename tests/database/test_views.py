"""SQL views are as their files define them: defined in order, and again when a file or the schema has changed."""

import shutil
from pathlib import Path

import asyncpg
import pytest
from tidemark.database import views as views_module
from tidemark.database.migration import migrate
from tidemark.database.statements import SQL
from tidemark.database.views import replace_views, views

from tests.conftest import ENGINES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the views' files, which `migrate` then uses."""
    copied = tmp_path / "views"
    shutil.copytree(SQL / "views", copied)
    monkeypatch.setattr(views_module, "views", lambda engine: views(engine, copied))
    return copied


@pytest.mark.parametrize("engine_name", ENGINES)
def test_a_view_comes_after_those_that_it_selects_from(engine_name: str) -> None:
    names = [view.name for view in views(engine_name)]
    assert names.index("stored_reading") < names.index("own_hour") < names.index("tidemark.reading_daily")
    assert names.index("own_sensor") < names.index("tidemark.latest_reading")


async def test_a_view_is_replaced_when_its_file_has_changed(migrated_url: str, folder: Path) -> None:
    connection = await asyncpg.connect(migrated_url)
    defined = "SELECT xmin::text FROM pg_rewrite WHERE ev_class = 'stored_reading'::regclass"
    before = await connection.fetchval(defined)
    await migrate(connection)
    assert await connection.fetchval(defined) == before

    file = folder / "tidemark" / "latest_reading.sql"
    file.write_text(file.read_text().replace("AS value\nFROM", "AS value, true AS is_new\nFROM"))
    await migrate(connection)
    assert await connection.fetch("SELECT is_new FROM tidemark.latest_reading") == []
    await connection.close()


async def test_views_that_a_migration_dropped_are_there_again_with_their_grants(migrated_url: str, engine: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    await connection.execute("DROP VIEW stored_reading CASCADE")
    await replace_views(connection, engine, migrated=True)
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'tidemark'::regnamespace AND relacl::text LIKE '%=r/%'"
        )
        == 4
    )
    await connection.close()


def test_a_file_that_does_not_define_its_view_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some.sql").write_text("CREATE OR REPLACE VIEW another AS SELECT 1;")
    with pytest.raises(ValueError, match="named after"):
        views("postgres", tmp_path)
