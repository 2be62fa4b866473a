"""The embedded server: real ones, each in a data directory of the test's own."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from tidemark.embedded import server as embedded
from tidemark.embedded.failures import PassingError
from tidemark.embedded.programs import EmbeddedServerError, Programs, available_programs, find_programs
from tidemark.embedded.server import Server, embedded_server

from tests.conftest import free_port

AVAILABLE = available_programs()
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: what Tidemark does when it runs as root")


@pytest.fixture(
    params=AVAILABLE,
    ids=lambda one: f"postgresql-{one.major}-{'timescaledb' if one.has_timescaledb else 'plain'}",
)
def programs(request: pytest.FixtureRequest) -> Programs:
    """Every PostgreSQL of this machine in turn."""
    found = request.param
    assert isinstance(found, Programs)
    return found


async def value(server: Server, query: str) -> object:
    """What a query answers, on a connection of its own."""
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def setting(server: Server, name: str) -> object:
    """A setting of the running server."""
    return await value(server, f"SELECT current_setting('{name}')")


def postmaster(data_dir: Path) -> int | None:
    """The process that serves a data directory, as PostgreSQL itself noted it; None where none does."""
    try:
        return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    except FileNotFoundError:
        return None


def wait_until_stopping(data_dir: Path) -> None:
    """Wait until PostgreSQL has noted that it was told to stop."""
    while not (data_dir / "postgres" / "postmaster.pid").read_text().rstrip().endswith("stopping"):
        time.sleep(0.01)


@contextmanager
def user_process(data_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uses the server of a data directory, until it is killed."""
    program = (
        "import sys; from pathlib import Path; from tidemark.embedded.server import embedded_server\n"
        "with embedded_server(Path(sys.argv[1])): print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def wait_until_ready(process: "subprocess.Popen[str]") -> None:
    """Wait until a user process has its server; what it logs before that is passed over."""
    assert process.stdout is not None
    assert any(line.strip() == "ready" for line in process.stdout)


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path, programs: Programs) -> None:
    with embedded_server(tmp_path, programs.folder) as server:
        await value(server, "CREATE TABLE kept AS SELECT 42 AS reading")
    assert postmaster(tmp_path) is None

    with embedded_server(tmp_path) as server:  # without naming them: it keeps the programs that it was made with
        assert server.programs == programs
        assert await value(server, "SELECT reading FROM kept") == 42


async def test_durable_private_and_in_utc(tmp_path: Path, programs: Programs) -> None:
    with embedded_server(tmp_path, programs.folder) as server:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert await setting(server, name) == "on"
        assert await setting(server, "listen_addresses") == ""
        assert await setting(server, "TimeZone") == "UTC"
        assert await setting(server, "server_encoding") == "UTF8"
        assert ("timescaledb" in str(await setting(server, "shared_preload_libraries"))) == programs.has_timescaledb
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        socket = server.socket_dir / ".s.PGSQL.5432"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700


async def test_the_last_user_stops_the_server(tmp_path: Path) -> None:
    with embedded_server(tmp_path):
        with embedded_server(tmp_path) as second:
            assert await value(second, "SELECT 1") == 1
        assert await value(second, "SELECT 1") == 1
    assert postmaster(tmp_path) is None


async def test_a_killed_server_recovers_with_everything_committed(tmp_path: Path, programs: Programs) -> None:
    with embedded_server(tmp_path, programs.folder) as server:
        await value(server, "CREATE TABLE kept AS SELECT 42 AS reading")
        killed = postmaster(tmp_path)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        with embedded_server(tmp_path) as again:  # while its first user still runs
            assert postmaster(tmp_path) != killed
            assert await value(again, "SELECT reading FROM kept") == 42
        assert await value(server, "SELECT reading FROM kept") == 42


def test_leaving_a_killed_server_is_no_error(tmp_path: Path) -> None:
    with embedded_server(tmp_path):
        killed = postmaster(tmp_path)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)


async def test_a_server_whose_user_was_killed_is_taken_over(tmp_path: Path) -> None:
    with user_process(tmp_path) as process:
        wait_until_ready(process)
    left = postmaster(tmp_path)
    assert left is not None
    assert os.getsid(left) not in (os.getsid(0), process.pid)  # out of reach of the terminal's Ctrl-C

    with embedded_server(tmp_path) as server:
        assert postmaster(tmp_path) == left
        assert await value(server, "SELECT 1") == 1
    assert postmaster(tmp_path) is None  # so it held no lock of its killed user


async def test_a_server_in_the_middle_of_stopping_is_started_again(tmp_path: Path) -> None:
    with user_process(tmp_path) as process:
        wait_until_ready(process)
    left = postmaster(tmp_path)
    assert left is not None
    with embedded_server(tmp_path) as server:
        connection = await asyncpg.connect(server.url)
        os.kill(left, signal.SIGTERM)  # PostgreSQL's smart stop: it waits for that connection
        wait_until_stopping(tmp_path)

        with embedded_server(tmp_path) as again:
            assert postmaster(tmp_path) != left
            assert await value(again, "SELECT 1") == 1
        connection.terminate()


async def test_a_process_id_that_was_given_out_again_is_not_taken_for_the_server(tmp_path: Path) -> None:
    with embedded_server(tmp_path):
        left = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    left[0] = str(os.getpid())
    (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join([*left, ""]))

    with embedded_server(tmp_path) as server:
        assert await value(server, "SELECT 1") == 1


async def test_a_cluster_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    with user_process(tmp_path) as process:
        while not any((tmp_path / "postgres.new").glob("base/*")):
            assert process.poll() is None
    assert not (tmp_path / "postgres").exists()

    with embedded_server(tmp_path) as server:  # at once: the killed process has left its initdb at work
        assert await value(server, "SELECT 1") == 1
    assert not (tmp_path / "postgres.new").exists()


async def test_a_data_directory_may_have_any_other_name(tmp_path: Path) -> None:
    with embedded_server(tmp_path / "it's 100 %, \u00e9t\u00e9 & more; #1") as server:
        assert await value(server, "SELECT 1") == 1


@pytest.mark.parametrize(("length", "stays"), [(89, True), (90, False)])
async def test_a_socket_path_too_long_for_the_system_moves_to_the_temporary_folder(
    short_path: Path, length: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_path))
    data_dir = short_path / ("d" * (length - len(f"{short_path}//socket")))
    with embedded_server(data_dir) as server:
        assert (server.socket_dir.parent == data_dir) == stays
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert await value(server, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["a$HOME", 'a"b', "a`b", "a\\b"])
def test_a_name_that_a_shell_would_change_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EmbeddedServerError, match="TIDEMARK_DATA_DIR"), embedded_server(tmp_path / name):
        pass


@pytest.mark.skipif(len({one.major for one in AVAILABLE}) < 2, reason="NOT TESTED: needs two versions of PostgreSQL")
def test_programs_of_another_version_are_refused(tmp_path: Path) -> None:
    made_with = AVAILABLE[0]
    other = next(one for one in AVAILABLE if one.major != made_with.major)
    with embedded_server(tmp_path, made_with.folder):
        pass
    with (
        pytest.raises(EmbeddedServerError, match=f"PostgreSQL {made_with.major}.*TIDEMARK_POSTGRES_BIN"),
        embedded_server(tmp_path, other.folder),
    ):
        pass


def test_a_folder_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="TIDEMARK_POSTGRES_BIN"):
        find_programs(tmp_path, tmp_path)


def test_programs_are_found_by_a_relative_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(AVAILABLE[0].folder.parent)
    assert find_programs(tmp_path, Path(AVAILABLE[0].folder.name)).folder == AVAILABLE[0].folder


async def test_programs_that_moved_are_replaced_by_others_of_their_version(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(AVAILABLE[0].folder)
    with embedded_server(tmp_path / "data", moved):
        pass
    moved.unlink()
    with embedded_server(tmp_path / "data") as server:
        assert server.programs.major == AVAILABLE[0].major


def test_a_failed_start_tells_the_reason_and_where_the_log_is(tmp_path: Path) -> None:
    with embedded_server(tmp_path) as server:
        pass
    with (tmp_path / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match="no_such_setting") as failed, embedded_server(tmp_path):
        pass
    assert str(server.log_file) in str(failed.value)


def test_data_and_locks_are_for_their_owner_alone(tmp_path: Path) -> None:
    older = tmp_path / "older"
    older.mkdir(mode=0o755)
    (older / "start.lock").touch(0o644)
    for data_dir in (older, tmp_path / "new"):
        with embedded_server(data_dir):
            for lock in ("start.lock", "users.lock"):
                assert stat.S_IMODE((data_dir / lock).stat().st_mode) == 0o600
    new = (tmp_path / "new").stat()
    assert stat.S_IMODE(new.st_mode) == (0o710 if os.geteuid() == 0 else 0o700)
    assert new.st_gid == (tmp_path / "new" / "postgres").stat().st_gid


@as_root
def test_another_local_user_cannot_hold_the_locks(tmp_path: Path) -> None:
    with embedded_server(tmp_path / "data"):
        os.seteuid(NOBODY)
        try:
            for lock in ("start.lock", "users.lock"):
                with pytest.raises(PermissionError):
                    os.open(tmp_path / "data" / lock, os.O_RDONLY)
        finally:
            os.seteuid(0)


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock file as another process would that hangs."""
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_the_wait_for_a_lock_that_is_held_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(embedded, "LEAVE_SECONDS", 0.1)
    with embedded_server(tmp_path):
        with (
            held(tmp_path / "start.lock"),
            pytest.raises(PassingError, match=f"start.lock has been held by process {os.getpid()} for 0.1 seconds"),
            embedded_server(tmp_path),
        ):
            pass
        left = postmaster(tmp_path)
        holding = held(tmp_path / "start.lock")
        holding.__enter__()
    assert postmaster(tmp_path) == left  # nobody may stop it without the lock, and nobody waits for ever
    holding.__exit__(None, None, None)
    with embedded_server(tmp_path) as server:
        assert postmaster(tmp_path) == left
        assert await value(server, "SELECT 1") == 1


def test_a_server_without_data_is_not_made_for_who_only_looks(tmp_path: Path) -> None:
    with (
        pytest.raises(EmbeddedServerError, match=r"TIDEMARK_DATA_DIR.*TIDEMARK_DATABASE_URL"),
        embedded_server(tmp_path / "data", create=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@as_root
async def test_as_root_the_server_runs_as_a_user_of_its_own(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with embedded_server(private / "data") as server:
        assert server.log_file.owner() not in ("root", None)
        assert await value(server, "SELECT 1") == 1
    assert stat.S_IMODE(private.stat().st_mode) == 0o701  # to pass through, not to look into


@as_root
def test_the_data_of_another_user_are_left_alone(tmp_path: Path) -> None:
    with embedded_server(tmp_path):
        pass
    os.seteuid(NOBODY)
    try:
        with pytest.raises(EmbeddedServerError, match="TIDEMARK_DATA_DIR"), embedded_server(tmp_path):
            pass
    finally:
        os.seteuid(0)


async def test_it_listens_for_roles_with_a_password_and_nobody_else(tmp_path: Path, programs: Programs) -> None:
    port = free_port()

    async def role(user: str, password: str, database: str = "tidemark") -> object:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user=user, password=password, database=database, ssl=False
        )
        try:
            return await connection.fetchval("SELECT current_user")
        finally:
            await connection.close()

    with embedded_server(tmp_path, programs.folder, listen=("127.0.0.1", port)) as server:
        assert server.port == port
        await value(server, "CREATE ROLE reader LOGIN PASSWORD 'secret'")
        assert await role("reader", "secret") == "reader"
        strangers = ("reader", "wrong"), ("tidemark", "secret"), ("tidemark", ""), ("reader", "secret", "postgres")
        for stranger in strangers:
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                await role(*stranger)

        with embedded_server(tmp_path) as second:  # without the setting: it finds the running one nevertheless
            assert second.url == server.url
            assert await value(second, "SELECT 1") == 1
    with embedded_server(tmp_path) as server:
        assert server.port == 5432
        assert await setting(server, "listen_addresses") == ""
        with pytest.raises(ConnectionRefusedError):
            await role("reader", "secret")


def test_a_running_server_that_does_not_listen_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(embedded.log, "warning", lambda message, **_: warnings.append(message))
    with embedded_server(tmp_path), embedded_server(tmp_path, listen=("127.0.0.1", free_port())):
        assert ["TIDEMARK_POSTGRES_LISTEN" in message for message in warnings] == [True]
