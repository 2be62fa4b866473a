"""The embedded PostgreSQL server: made, started and stopped with the data directory it lives in.

Several processes may use it at once (the service, the command line, tests). Each holds a shared lock on `users.lock`,
which the operating system drops even when the process is killed; starting and stopping happen under `start.lock`; the
last user to leave stops the server. One that was left running is adopted, one that crashed recovers at the next start.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import structlog

from service.storage.programs import EmbeddedServerError, Programs, find_programs, keep_choice

log = structlog.get_logger(__name__)

NAME = "tidemark"
"""The role and the database."""
PORT = 5432
SYSTEM_USER = "tidemark"
"""Whom the server runs as when Tidemark runs as root, which PostgreSQL refuses to."""
START_SECONDS = 120
STOP_SECONDS = 8
_MAX_SOCKET_PATH = 100


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    socket_dir: Path
    programs: Programs
    log_file: Path

    @property
    def url(self) -> str:
        """The PostgreSQL URL of Tidemark's database in it."""
        return self.url_of(NAME)

    def url_of(self, database: str) -> str:
        """The PostgreSQL URL of a database in it."""
        return f"postgresql://{NAME}@/{database}?host={quote(str(self.socket_dir))}&port={PORT}"


@dataclass(frozen=True)
class _Owner:
    """Whom the cluster belongs to and the server runs as; `arguments` are subprocess's, to run as them."""

    uid: int
    gid: int

    @property
    def arguments(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@contextmanager
def embedded_server(data_dir: Path, postgres_bin: Path | None = None) -> Iterator[Server]:
    """Use the server of a data directory, starting it (and making its cluster) where needed.

    Raises EmbeddedServerError with what to do.
    """
    data_dir = data_dir.absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        users = os.open(data_dir / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedServerError(f"The data directory {data_dir} cannot be used: {error}.") from None
    try:
        with _alone(data_dir):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _start(data_dir, find_programs(data_dir, postgres_bin))
        yield server
    finally:
        with _alone(data_dir):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.debug("embedded server stays up for its other users")
            else:
                _stop(data_dir)
            finally:
                os.close(users)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    with (data_dir / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(data_dir: Path, programs: Programs) -> Server:
    cluster = data_dir / "postgres"
    log_file = data_dir / "postgres.log"
    owner = _owner(cluster)
    socket_dir = _socket_dir(data_dir, owner)
    if os.geteuid() == 0:
        _make_reachable(owner, data_dir, programs.folder, socket_dir)
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(data_dir, cluster, programs, owner)
    server = Server(socket_dir, programs, log_file)
    if not _is_running(cluster, programs, owner):
        log_file.touch(mode=0o600)
        os.chown(log_file, owner.uid, owner.gid)
        options = " ".join(f"-c {name}={value}" for name, value in _settings(programs).items())
        options += f" -c unix_socket_directories={_quoted(str(socket_dir))}"
        _run(
            [
                *(programs.program("pg_ctl"), "start", "-w", "-s", "-t", str(START_SECONDS)),
                *("-D", str(cluster), "-l", str(log_file), "-o", options),
            ],
            owner,
            f"PostgreSQL did not start; its log is {log_file}",
            log_file,
        )
    _make_database(server, owner)
    return server


def _stop(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    if not (cluster / "postmaster.pid").exists():
        return
    programs, owner = find_programs(data_dir, None), _owner(cluster)
    stop = [programs.program("pg_ctl"), "stop", "-w", "-s", "-t", str(STOP_SECONDS), "-D", str(cluster), "-m"]
    try:
        _run([*stop, "fast"], owner, "PostgreSQL did not stop")
    except EmbeddedServerError as error:
        log.warning("embedded server stopped at once; it recovers at the next start", reason=str(error))
        _run([*stop, "immediate"], owner, "PostgreSQL did not stop")


def _settings(programs: Programs) -> dict[str, str]:
    """Settings for a small machine that other programs share, given at every start; durability is never traded."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    shared = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_permissions": "0700",
        "shared_buffers": f"{max(64, min(memory // 4, 1024))}MB",
        "max_connections": "200",
        # A batch of readings of many years takes locks on as many chunks or partitions.
        "max_locks_per_transaction": "512",
        "min_wal_size": "1GB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
    if programs.has_timescaledb:
        shared |= {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    return {name: value or "''" for name, value in shared.items()}


def _make_cluster(data_dir: Path, cluster: Path, programs: Programs, owner: _Owner) -> None:
    log.info("making a PostgreSQL cluster", folder=str(cluster), programs=str(programs.folder))
    # Made beside its place and moved there when whole, so that an interrupted start is simply begun again.
    unfinished = data_dir / "postgres.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    os.chown(unfinished, owner.uid, owner.gid)
    _run(
        [
            *(programs.program("initdb"), "-D", str(unfinished), "-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C"),
            # Small segments: the first use of one zeroes it, and commits wait for that.
            *("--data-checksums", "--no-instructions", "--wal-segsize=4"),
        ],
        owner,
        "PostgreSQL's initdb failed",
    )
    unfinished.rename(cluster)
    keep_choice(data_dir, programs)


def _make_database(server: Server, owner: _Owner) -> None:
    connection = ["-h", str(server.socket_dir), "-p", str(PORT), "-U", NAME]
    psql, createdb = server.programs.program("psql"), server.programs.program("createdb")
    failed = "The embedded server does not answer"
    found = _run([psql, *connection, "-l", "-A", "-t", "-F", "|", "postgres"], owner, failed, server.log_file)
    if not any(line.split("|")[0] == NAME for line in found.splitlines()):
        _run([createdb, *connection, NAME], owner, failed, server.log_file)


def _is_running(cluster: Path, programs: Programs, owner: _Owner) -> bool:
    status = subprocess.run(  # noqa: S603 - a PostgreSQL program
        [programs.program("pg_ctl"), "status", "-s", "-D", str(cluster)],
        capture_output=True,
        check=False,
        cwd="/",
        **owner.arguments,  # type: ignore[call-overload]
    )
    return bool(status.returncode == 0)


def _owner(cluster: Path) -> _Owner:
    """The owner of the cluster; of a new one the user of this process, or where that is root a user of its own."""
    if cluster.exists():
        found = cluster.stat()
        if os.geteuid() not in (0, found.st_uid):
            raise EmbeddedServerError(
                f"{cluster} belongs to the user {_user_name(found.st_uid)}: run Tidemark as that user, "
                f"or set TIDEMARK_DATA_DIR to a folder of your own."
            )
        return _Owner(found.st_uid, found.st_gid)
    if os.geteuid() != 0:
        return _Owner(os.geteuid(), os.getegid())
    for name in (SYSTEM_USER, "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            useradd = shutil.which("useradd")
            if name != SYSTEM_USER or useradd is None:
                continue
            subprocess.run(  # noqa: S603 - the system's own program
                [
                    useradd,
                    "--system",
                    "--user-group",
                    "--no-create-home",
                    "--shell",
                    "/usr/sbin/nologin",
                    name,
                ],
                capture_output=True,
                check=False,
            )
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            log.info("made a system user to run PostgreSQL as", user=name)
        return _Owner(user.pw_uid, user.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and no other user could be made. Run Tidemark as another user, "
        "or set TIDEMARK_DATABASE_URL to a server that is running."
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _socket_dir(data_dir: Path, owner: _Owner) -> Path:
    """A folder that only the server's user (and root) can enter, whose path is short enough for a socket."""
    folder = data_dir / "socket"
    if len(os.fsencode(folder)) > _MAX_SOCKET_PATH or "," in str(folder) or '"' in str(folder):
        digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"tidemark-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner.uid, os.geteuid()):
        raise EmbeddedServerError(f"{folder} is somebody else's; remove it, or use another TIDEMARK_DATA_DIR.")
    os.chown(folder, owner.uid, owner.gid)
    return folder


def _make_reachable(owner: _Owner, *folders: Path) -> None:
    """Let the server's user pass through the parents of these folders, by `o+x` alone where it is missing."""
    opened = []
    for folder in folders:
        for parent in folder.resolve().parents:
            mode = parent.stat()
            if mode.st_uid == owner.uid or mode.st_mode & stat.S_IXOTH:
                continue
            parent.chmod(stat.S_IMODE(mode.st_mode) | stat.S_IXOTH)
            opened.append(str(parent))
    data_dir = folders[0]
    if not data_dir.stat().st_mode & stat.S_IXOTH:
        data_dir.chmod(stat.S_IMODE(data_dir.stat().st_mode) | stat.S_IXOTH)
    if opened:
        log.info("let PostgreSQL's user pass through folders (chmod o+x)", folders=sorted(set(opened)))


def _run(command: Sequence[str], owner: _Owner, failed: str, log_file: Path | None = None) -> str:
    """Run a PostgreSQL program as the server's user; answers its output. Raises EmbeddedServerError."""
    # Output goes to files: a server that pg_ctl starts would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(  # noqa: S603 - a PostgreSQL program
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            **owner.arguments,  # type: ignore[call-overload]
        )
        output.seek(0)
        told = output.read().decode(errors="replace")
    if done.returncode != 0:
        tail = told.strip()
        if log_file is not None and log_file.exists():
            tail += "\n" + "\n".join(log_file.read_text(errors="replace").splitlines()[-10:])
        raise EmbeddedServerError(f"{failed}:\n{tail}")
    return told


def _quoted(path: str) -> str:
    """A path as one word of pg_ctl's `-o` options, which a shell splits."""
    return "'" + path.replace("'", "'\\''") + "'"
