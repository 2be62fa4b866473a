"""The embedded PostgreSQL server: created, started and stopped along with the data directory that it lives in.

Several processes may use it at once (the service, the command line, tests). Each holds a shared lock on `users.lock`,
which the operating system drops even when the process is killed; starting and stopping happen under `start.lock`; the
last user to leave stops the server. One that was left running is taken over, one that crashed recovers at the next
start. Whoever can open a lock file can hold it, so nobody else may open these.
"""

import fcntl
import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog

from tidemark.embedded.failures import PASSING, PassingError, ProgramError, failures_told_apart
from tidemark.embedded.programs import EmbeddedServerError, Programs, find_programs, keep_choice

log = structlog.get_logger(__name__)

NAME = "tidemark"
"""The role and the database."""
PORT = 5432
"""Unless it listens at another one for SQL users: PostgreSQL has one port, which is part of its socket's name too."""
SYSTEM_USER = "tidemark"
"""The user that the server runs as if Tidemark runs as root, as which PostgreSQL refuses to run."""
START_SECONDS = 600
"""How long a start may take: recovery after a crash may replay as much as `max_wal_size`, from a slow disk."""
LOCK_SECONDS = 60.0
"""How long to wait for another process that is starting or stopping the server."""
LEAVE_SECONDS = 3.0
"""The same when leaving: whoever holds the lock then is starting the server, and will stop it in turn."""
WATCH_SECONDS = 1.0
JOIN_SECONDS = 1.0
STOP_SECONDS = 8
ORPHAN_SECONDS = 10
"""How long the backends of a killed server may take to notice and exit."""
_MAX_SOCKET_PATH = 103
"""In bytes: the limit of macOS and the BSDs; Linux allows four more."""
_NOT_IN_PATHS = '"$`\\'
"""pg_ctl puts paths between double quotes for a shell, where these characters have a meaning."""

ACCESS = f"""\
# Written by Tidemark at each start with TIDEMARK_POSTGRES_LISTEN, instead of pg_hba.conf.
local all all trust
host all {NAME} all reject
host {NAME} all all scram-sha-256
"""
"""Who may connect: over the socket, which only the system's user reaches, everybody; else whoever has a password."""


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    socket_dir: Path
    port: int
    programs: Programs
    log_file: Path

    @property
    def url(self) -> str:
        """The PostgreSQL URL of Tidemark's database on it."""
        return self.url_of(NAME)

    def url_of(self, database: str) -> str:
        """The PostgreSQL URL of a database on it."""
        return f"postgresql://{NAME}@/{database}?host={quote(str(self.socket_dir))}&port={self.port}"


@dataclass(frozen=True)
class _Serving:
    """Where a running server can be reached: its socket's folder and its port, and the addresses where it listens."""

    socket_dir: Path
    port: int
    addresses: str


@dataclass(frozen=True)
class _Owner:
    """The user who owns the cluster and whom the server runs as; `arguments` make subprocess run as that user."""

    uid: int
    gid: int

    @property
    def arguments(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@contextmanager
def embedded_server(
    data_dir: Path,
    postgres_bin: Path | None = None,
    *,
    listen: tuple[str, int] | None = None,
    create: bool = True,
    stop_seconds: Callable[[], float] = lambda: STOP_SECONDS,
) -> Iterator[Server]:
    """Use the server of a data directory, starting it if needed, and creating its cluster if `create` allows it.

    If it is started here, it also listens at the address and port `listen`, for roles that have a password. A server
    that crashed while in use is restarted by the next process to use it. Leaving takes at most `stop_seconds`, but at
    least two; a server that does not stop in that time is left running. Raises EmbeddedServerError, which says what to
    do; PassingError if trying again may help.
    """
    data_dir = data_dir.absolute()
    if set(_NOT_IN_PATHS) & set(str(data_dir)):
        raise EmbeddedServerError(
            f"PostgreSQL cannot work in {data_dir}: set TIDEMARK_DATA_DIR to a path without {' '.join(_NOT_IN_PATHS)}."
        )
    with failures_told_apart(data_dir):
        if not create and not (data_dir / "postgres" / "PG_VERSION").exists():
            raise EmbeddedServerError(
                f"There are no data in {data_dir}. Run this in the folder where 'tidemark serve' was started, or set "
                f"TIDEMARK_DATA_DIR to its data directory, or TIDEMARK_DATABASE_URL to a server of your own."
            )
        if not data_dir.exists():
            find_programs(data_dir, postgres_bin)  # if there are none, no folder is left behind
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = _open_lock(data_dir / "users.lock")
    using = False
    try:
        with failures_told_apart(data_dir), _alone(data_dir, LOCK_SECONDS) as lock:
            fcntl.flock(users, fcntl.LOCK_SH)
            using = True
            server = _start(data_dir, find_programs(data_dir, postgres_bin), lock, listen)
        yield server
    finally:
        if using:
            _leave(data_dir, postgres_bin, users, stop_seconds())
        os.close(users)


@contextmanager
def kept_up(
    data_dir: Path, postgres_bin: Path | None = None, *, listen: tuple[str, int] | None = None
) -> Iterator[None]:
    """While a service uses the server, restart it within seconds of a crash."""
    cluster = data_dir.absolute() / "postgres"
    leaving = threading.Event()

    def watch() -> None:
        while not leaving.wait(WATCH_SECONDS):
            # Whatever fails, such as a check without a file descriptor left, is tried again.
            try:
                if _served_at(cluster) is None:
                    log.error("embedded server has ended; starting it again")
                    with embedded_server(data_dir, postgres_bin, listen=listen, create=False):
                        pass
            except EmbeddedServerError as error:
                log.error("embedded server does not start", reason=str(error))  # noqa: TRY400 - it is said whole
            except Exception:
                log.exception("embedded server cannot be looked after; it is tried again")

    watcher = threading.Thread(target=watch, name="embedded server watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        leaving.set()
        watcher.join(JOIN_SECONDS)  # it may be in the middle of a start, which takes long


def _leave(data_dir: Path, postgres_bin: Path | None, users: int, seconds: float) -> None:
    """Stop the server if nobody else uses it, and if that takes no longer than this."""
    try:
        with failures_told_apart(data_dir), _alone(data_dir, min(LEAVE_SECONDS, seconds)):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.debug("embedded server stays up for its other users")
            else:
                _stop(data_dir, postgres_bin, seconds)
    except EmbeddedServerError as error:
        log.warning("embedded server is left running; the next start takes it over", reason=str(error))


@contextmanager
def _alone(data_dir: Path, seconds: float) -> Iterator[int]:
    """Hold `start.lock`, waiting for it at most this long; yields its file descriptor. Raises PassingError."""
    path = data_dir / "start.lock"
    lock = _open_lock(path)
    try:
        deadline = time.monotonic() + seconds
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise PassingError(
                    f"{path} has been held by {_holder(lock)} for {seconds:g} seconds. "
                    f"Wait until it has started or stopped the embedded server; if it hangs, end it.",
                    "Another process holds the lock of the data directory.",
                )
            time.sleep(0.02)
        yield lock
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(lock, 0o600)  # an earlier version made it readable to all
    return lock


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: int) -> str:
    """Which process holds a lock, if the system tells (Linux's /proc/locks, see proc(5))."""
    found = os.fstat(lock)
    file = f" {os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino} "
    try:
        held = next(line for line in Path("/proc/locks").read_text().splitlines() if file in line and "->" not in line)
    except (OSError, StopIteration):
        return "another process"
    return f"process {held.split()[4]}"


def _start(data_dir: Path, programs: Programs, lock: int, listen: tuple[str, int] | None) -> Server:
    cluster = data_dir / "postgres"
    log_file = data_dir / "postgres.log"
    owner = _owner(cluster)
    if os.geteuid() == 0:
        _let_group_pass(data_dir, owner)
        _make_reachable(owner, cluster, programs.folder)
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(data_dir, cluster, programs, owner, lock)
    serving = _served_at(cluster)
    if serving is not None and not _answers(serving, programs, owner):
        # It, or a process that was starting or stopping it, was killed just now.
        _stop_postmaster(cluster, programs, owner)
        serving = None
    if serving is None:
        port = PORT if listen is None else listen[1]
        server = Server(_socket_dir(data_dir, port, owner), port, programs, log_file)
        _start_postmaster(server, cluster, owner, listen)
    else:
        server = Server(serving.socket_dir, serving.port, programs, log_file)
        if listen is not None and (not serving.addresses or serving.port != listen[1]):
            log.warning("embedded server runs already, without TIDEMARK_POSTGRES_LISTEN; restart all that use it")
    _make_database(server, owner)
    return server


def _start_postmaster(server: Server, cluster: Path, owner: _Owner, listen: tuple[str, int] | None) -> None:
    programs, log_file = server.programs, server.log_file
    # A crashed server's lock files would keep PostgreSQL from starting if the process number in them is in use again.
    # Two servers still never share a cluster: PostgreSQL checks its shared memory too.
    for left in (cluster / "postmaster.pid", server.socket_dir / f".s.PGSQL.{server.port}.lock"):
        left.unlink(missing_ok=True)
    if os.geteuid() == 0:
        _make_reachable(owner, server.socket_dir)
    log_file.touch(mode=0o600)
    os.chown(log_file, owner.uid, owner.gid)
    options = " ".join(f"-c {name}={value}" for name, value in _settings(programs, server.port).items())
    options += f" -c unix_socket_directories={_quoted(str(server.socket_dir))}"
    if listen is not None:
        options += f" -c listen_addresses={_quoted(listen[0])} -c hba_file={_quoted(str(_access_file(cluster, owner)))}"
    start = [programs.program("pg_ctl"), "start", "-w", "-s", "-t", str(START_SECONDS), "-D", str(cluster)]
    failed = f"PostgreSQL did not start; its log is {log_file}"
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            _run([*start, "-l", str(log_file), "-o", options], owner, failed, log_file)
        except EmbeddedServerError as error:
            # PostgreSQL refuses to start while backends of a killed server are still there.
            if "is still in use" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _access_file(cluster: Path, owner: _Owner) -> Path:
    """Write who may connect while the server listens, and return the file's path."""
    path = cluster / "pg_hba.listen.conf"
    path.write_text(ACCESS, encoding="utf-8")
    os.chown(path, owner.uid, owner.gid)
    path.chmod(0o600)
    return path


def _stop(data_dir: Path, postgres_bin: Path | None, seconds: float) -> None:
    cluster = data_dir / "postgres"
    if _served_at(cluster) is not None:
        _stop_postmaster(cluster, find_programs(data_dir, postgres_bin), _owner(cluster), seconds)


def _stop_postmaster(cluster: Path, programs: Programs, owner: _Owner, seconds: float = STOP_SECONDS) -> None:
    stop = [programs.program("pg_ctl"), "stop", "-w", "-s", "-D", str(cluster)]
    for mode, wait in (("fast", max(1, int(seconds) - 1)), ("immediate", 1)):
        try:
            _run([*stop, "-m", mode, "-t", str(wait)], owner, f"PostgreSQL did not stop (mode {mode})")
        except EmbeddedServerError as error:
            if _served_at(cluster) is None:
                return  # it ended by itself before pg_ctl reached it
            if mode == "immediate":
                raise
            log.warning("embedded server is stopped at once; it recovers at the next start", reason=str(error))
        else:
            return


def _served_at(cluster: Path) -> _Serving | None:
    """Where the process that serves a cluster is reached, from its `postmaster.pid`; None if no process does.

    Only that process knows its folder: the system's temporary folder may have been another one when it started.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].isdigit():
        return None  # a full disk, or a crash before it was written
    pid = int(lines[0])
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, PermissionError):
        return None  # another user's process is not ours, as PostgreSQL assumes too
    except FileNotFoundError:
        state = None  # macOS has no /proc
    if state is not None and not re.search(r"\(postgres\) [^ZX]", state):
        return None  # the number is in use again, or nobody reaps zombies (in a container)
    # The lines (PostgreSQL's pidfile.h): pid, data directory, start time, port, socket folder, first address.
    if len(lines) < 5:
        return _Serving(cluster, PORT, "")
    return _Serving(Path(lines[4]), int(lines[3]), "".join(lines[5:6]))


def _answers(serving: _Serving, programs: Programs, owner: _Owner) -> bool:
    at = ["-h", str(serving.socket_dir), "-p", str(serving.port)]
    try:
        _run([programs.program("pg_isready"), *at], owner, "No answer")
    except EmbeddedServerError:
        return False
    return True


def _settings(programs: Programs, port: int) -> dict[str, str]:
    """Settings for a small machine that other programs share, given at every start; durability is never traded away."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    shared = {
        "listen_addresses": "",
        "port": str(port),
        # Not the schema of the role's own name first, which has the views for SQL users.
        "search_path": "public",
        "unix_socket_permissions": "0700",
        "shared_buffers": f"{max(64, min(memory // 4, 1024))}MB",
        "max_connections": "200",
        # A batch with readings of many years locks as many chunks or partitions.
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


def _make_cluster(data_dir: Path, cluster: Path, programs: Programs, owner: _Owner, lock: int) -> None:
    log.info("creating a PostgreSQL cluster", folder=str(cluster), programs=str(programs.folder))
    # Created beside its final folder and renamed when complete, so that an interrupted start simply begins again.
    unfinished = data_dir / "postgres.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    os.chown(unfinished, owner.uid, owner.gid)
    _run(
        [
            *(programs.program("initdb"), "-D", str(unfinished), "-U", NAME, "-A", "trust", "-E", "UTF8"),
            # Small segments: the first use of one zeroes it, for which commits wait.
            *("--locale=C", "--data-checksums", "--no-instructions", "--wal-segsize=4"),
        ],
        owner,
        "PostgreSQL's initdb failed",
        # Should this process be killed, the initdb that it leaves running holds the lock until it is done.
        keep_open=(lock,),
    )
    unfinished.rename(cluster)
    keep_choice(data_dir, programs)


def _make_database(server: Server, owner: _Owner) -> None:
    connection = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", NAME]
    psql, createdb = server.programs.program("psql"), server.programs.program("createdb")
    failed = "The embedded server does not answer"
    found = _run([psql, *connection, "-l", "-A", "-t", "-F", "|", "postgres"], owner, failed, server.log_file)
    if not any(line.split("|")[0] == NAME for line in found.splitlines()):
        _run([createdb, *connection, NAME], owner, failed, server.log_file)


def _owner(cluster: Path) -> _Owner:
    """The owner of the cluster; for a new one the user of this process, or if that is root, a user of its own."""
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
            log.info("created a system user to run PostgreSQL as", user=name)
        return _Owner(user.pw_uid, user.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and no other user could be created. Run Tidemark as another user, "
        "or set TIDEMARK_DATABASE_URL to a server that is running."
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _socket_dir(data_dir: Path, port: int, owner: _Owner) -> Path:
    """A folder that only the server's user (and root) can enter, with a path that is short enough for a socket."""
    folder = data_dir / "socket"
    if len(os.fsencode(folder / f".s.PGSQL.{port}")) > _MAX_SOCKET_PATH or "," in str(folder):
        digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"tidemark-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner.uid, os.geteuid()):
        raise EmbeddedServerError(f"{folder} belongs to somebody else; remove it, or use another TIDEMARK_DATA_DIR.")
    os.chown(folder, owner.uid, owner.gid)
    return folder


def _let_group_pass(data_dir: Path, owner: _Owner) -> None:
    """Let the server's user, and nobody else, pass through a data directory that is root's alone."""
    found = data_dir.stat()
    if found.st_uid == 0 and stat.S_IMODE(found.st_mode) == 0o700 and owner.uid != 0:
        os.chown(data_dir, -1, owner.gid)
        data_dir.chmod(0o710)


def _make_reachable(owner: _Owner, *folders: Path) -> None:
    """Let the server's user pass through the parents of these folders, by `o+x` (or `g+x`) where it cannot yet."""
    opened = []
    for parent in {parent for folder in folders for parent in (*folder.parents, *folder.resolve().parents)}:
        found = parent.stat()
        passing = stat.S_IXGRP if found.st_gid == owner.gid else stat.S_IXOTH
        if found.st_uid == owner.uid or found.st_mode & passing:
            continue
        try:
            parent.chmod(stat.S_IMODE(found.st_mode) | passing)
        except OSError as error:
            raise EmbeddedServerError(
                f"PostgreSQL's user {_user_name(owner.uid)} must pass through {parent}, which could not be allowed: "
                f"{error}. Run chmod o+x on it, or set TIDEMARK_DATA_DIR to another folder."
            ) from None
        opened.append(str(parent))
    if opened:
        log.info("let PostgreSQL's user pass through folders (chmod o+x)", folders=sorted(opened))


def _run(
    command: Sequence[str],
    owner: _Owner,
    failed: str,
    log_file: Path | None = None,
    keep_open: tuple[int, ...] = (),
) -> str:
    """Run a PostgreSQL program as the server's user; return its output. Raises EmbeddedServerError.

    The error ends with the program's output and what it added to the log file; `keep_open` are file descriptors that
    the program inherits.
    """
    log_start = log_file.stat().st_size if log_file is not None and log_file.exists() else 0
    # PostgreSQL's own variables, such as PGOPTIONS, are meant for other servers.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with _output_file() as output:
        try:
            done = subprocess.run(  # noqa: S603 - a PostgreSQL program
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                cwd="/",
                env={**environment, "LC_ALL": "C"},
                pass_fds=keep_open,
                **owner.arguments,  # type: ignore[call-overload]
            )
        except OSError as error:
            if error.errno in PASSING:
                raise
            raise EmbeddedServerError(f"{failed}: {_user_name(owner.uid)} cannot run {command[0]}: {error}.") from None
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if done.returncode != 0:
        tail = printed.strip()
        if log_file is not None and log_file.exists():
            tail += "\n" + "\n".join(log_file.read_bytes()[log_start:].decode(errors="replace").splitlines()[-20:])
        raise ProgramError(f"{failed}:\n{tail}")
    return printed


def _output_file() -> IO[bytes]:
    """A file for a program's output, since a server started by pg_ctl would hold a pipe open for ever.

    It is in memory if the system allows: the disk may be full, and the output say so.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("output"), "w+b")
    return tempfile.TemporaryFile()


def _quoted(path: str) -> str:
    """A path as one word of pg_ctl's `-o` options, which a shell splits into words."""
    return "'" + path.replace("'", "'\\''") + "'"
