"""A model of the log: one series and instant; three writers, the settler, which also merges, a delete, a crash, a
reader, in small steps.

Whatever any of them may do next is tried in every order, so what can go wrong with these is found. What must hold is
what a user can tell. There is one value at any time, the one a reader would find. It changes only to that of a write,
or to nothing by a delete, while that operation is under way. An operation that succeeds has been the value, or another
change came while it was under way, so that it may have come just before that one. A write that was refused may still
appear, but not in the place of anything that began after the refusal.

Operations begin as late as they can and succeed as early as they can; anything else would only give them more excuses.
The first writer alone may lose sight of an append, give it up or try it again, so its appends have more steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeAlias

FIRST, WRITERS = 0, 3
DELETE = WRITERS
"""The number of the delete among the operations; those of writers are also their values."""
NOTHING = -1
"""The value where there is no reading."""
TURNS = 2
"""How often the settler may settle or merge."""
XID_STEP = 2
"""Between any two transactions there may be others, which write other series."""

# What becomes of an append. It holds its lock while it is locked, numbered or inserted.
ABSENT, SENT, LOCKED, NUMBERED, INSERTED, COMMITTED, ENDED = range(7)
# What the client of an operation knows.
IDLE, WAITING, SUCCEEDED, REFUSED = range(4)
# Where the settler or the delete is.
RESTING, LISTING, CLOSING, WRITING = range(4)


@dataclass(frozen=True)
class Rules:
    """The rules of order; without any one of them something goes wrong."""

    append_is_first_statement: bool = True
    writers_are_waited_for: bool = True
    a_prefix_is_settled: bool = True
    a_stretch_is_merged: bool = True
    abandoned_are_waited_for: bool = True
    deadline_is_checked_after_id: bool = True
    unsettled_wins: bool = True
    reader_has_one_snapshot: bool = True


class Append(NamedTuple):
    """One attempt to append."""

    step: int = ABSENT
    xid: int = 0
    """The id of its transaction, 0 before it has one."""
    late: bool = False
    """Whether its deadline has passed."""


class Operation(NamedTuple):
    """A write or the delete, as its client sees it."""

    state: int = IDLE
    explained: bool = False
    """While it waits: whether it has a place in the order of changes."""
    begun_before: frozenset[int] = frozenset()
    """Where it is refused: the operations that had begun by then."""


Run: TypeAlias = tuple[int, int]
"""The id of its transaction, and the value."""


class Turn(NamedTuple):
    """Where the settler or the delete is; one of them has the lock of the store."""

    step: int = RESTING
    deletes: bool = False
    horizon: int = 0
    waited_for: frozenset[tuple[int, int]] = frozenset()
    """Writers, and which of their attempts."""
    seen: tuple[Run, ...] = ()
    """The closed runs of its snapshot, in order."""


class Reader(NamedTuple):
    """A reader that has read the store."""

    stored: int
    values: frozenset[int]
    """What the value has been since it began."""


class State(NamedTuple):
    """Everything."""

    next_xid: int = 1
    last_ended: int = 0
    log: frozenset[Run] = frozenset()
    stored: int = NOTHING
    latest: int = NOTHING
    """Which operation the value is of, the delete where it has left nothing."""
    appends: tuple[tuple[Append, ...], ...] = ((Append(), Append()), (Append(),), (Append(),))
    """Of each writer; the first may try twice."""
    operations: tuple[Operation, ...] = (Operation(),) * (WRITERS + 1)
    turn: Turn = Turn()
    turns: int = 0
    crashed: bool = False
    reader: Reader | None = None


Step: TypeAlias = tuple[str, State]


class OrderError(Exception):
    """Something went wrong that a user could tell; the message says what, and after which steps."""


def check(rules: Rules) -> int:
    """Try everything; the number of states there are. Raises OrderError."""
    start = State()
    came_from: dict[State, tuple[State, str]] = {}
    waiting, seen = [start], {start}
    for state in waiting:  # which grows meanwhile
        try:
            for label, following in _steps(state, rules):
                if following not in seen:
                    seen.add(following)
                    came_from[following] = state, label
                    waiting.append(following)
        except OrderError as error:
            raise OrderError(f"{error}. {'; '.join(_way_to(state, came_from))}; then that.") from None
    return len(seen)


def _way_to(state: State, came_from: dict[State, tuple[State, str]]) -> list[str]:
    labels: list[str] = []
    while state in came_from:
        state, label = came_from[state]
        labels.insert(0, label)
    return labels


def _steps(state: State, rules: Rules) -> Iterator[Step]:
    yield from _first_append_steps(state, rules)
    yield from _first_client_steps(state, rules)
    for writer in range(1, WRITERS):
        yield from _plain_steps(state, rules, writer)
    if state.appends[FIRST][1].step == INSERTED:
        yield "write 0 commits at its second attempt", _succeeded(_committed(state, rules, FIRST, 1), FIRST)
    yield from _turn_steps(state, rules)
    yield from _reader_steps(state, rules)
    if not state.crashed:
        yield "the database crashes", _crashed(state)


def _plain_steps(state: State, rules: Rules, writer: int) -> Iterator[Step]:
    """A write of which nothing is lost: it begins, locks and has its id, then it commits and succeeds."""
    append = state.appends[writer][0]
    # The writers but the first do the same, so that it does not matter which begins first.
    its_turn = writer == 1 or state.appends[writer - 1][0] != Append()
    if append.step == ABSENT and its_turn:
        yield f"write {writer} begins and takes its id", _numbered(_begun(state, writer, rules), writer, 0, INSERTED)
        if not append.xid and not rules.append_is_first_statement:
            yield f"transaction of write {writer} takes its id", _numbered(state, writer, 0, ABSENT)
    elif append.step == INSERTED:
        yield f"write {writer} commits", _succeeded(_committed(state, rules, writer, 0), writer)


def _first_append_steps(state: State, rules: Rules) -> Iterator[Step]:
    """The first attempt of the first writer."""
    append = state.appends[FIRST][0]
    refused = rules.abandoned_are_waited_for and append.late
    if append.step == SENT:
        if refused and not rules.deadline_is_checked_after_id:
            yield "append is refused", _with_append(state, FIRST, 0, Append(ENDED))
        else:
            yield "append arrives and locks", _with_append(state, FIRST, 0, append._replace(step=LOCKED))
    elif append.step == LOCKED:
        yield "append takes its id", _numbered(state, FIRST, 0, NUMBERED)
    elif append.step == NUMBERED:
        if refused and rules.deadline_is_checked_after_id:
            yield "append is refused", _end_append(state)
        else:
            yield "append inserts", _with_append(state, FIRST, 0, append._replace(step=INSERTED))
    elif append.step == INSERTED:
        committed = _committed(state, rules, FIRST, 0)
        yield "append commits, which nobody hears of", committed
        if state.operations[FIRST].state == WAITING and state.appends[FIRST][1].step == ABSENT:
            yield "append commits", _succeeded(committed, FIRST)


def _first_client_steps(state: State, rules: Rules) -> Iterator[Step]:
    first, second = state.appends[FIRST]
    if first == Append():
        yield "write 0 begins", _with_append(_begun(state, FIRST, rules), FIRST, 0, Append(SENT))
    if state.operations[FIRST].state != WAITING:
        return
    if second.step == ENDED:
        yield "write 0 is refused", _refused(state, FIRST)
    if second.step != ABSENT:
        return
    is_over = first.step in (COMMITTED, ENDED)
    if is_over or first.late or not rules.abandoned_are_waited_for:
        yield "write 0 is tried again and takes its id", _numbered(state, FIRST, 1, INSERTED)
        yield "write 0 is refused", _refused(state, FIRST)
    if not is_over:
        yield "session of write 0 is ended", _end_append(state)
        if not first.late:
            yield "deadline of write 0 passes", _with_append(state, FIRST, 0, first._replace(late=True))


def _turn_steps(state: State, rules: Rules) -> Iterator[Step]:
    turn = state.turn
    who = "delete" if turn.deletes else "settler"
    if turn.step == RESTING:
        horizon = state.last_ended + 1
        if state.turns < TURNS and state.log:
            yield "settler reads its horizon", state._replace(turn=Turn(LISTING, False, horizon), turns=state.turns + 1)
        if state.operations[DELETE].state == IDLE:
            begun = _begun(state, DELETE, rules)
            yield "delete begins and reads its horizon", begun._replace(turn=Turn(LISTING, True, horizon))
    elif turn.step == LISTING:
        writing = _writing(state) if rules.writers_are_waited_for else frozenset()
        yield f"{who} lists the writers", state._replace(turn=turn._replace(step=CLOSING, waited_for=writing))
    elif turn.step == CLOSING:
        if not turn.waited_for & _writing(state):
            seen = tuple(sorted(run for run in state.log if run[0] < turn.horizon))
            # A delete takes all of it, so that its horizon no longer matters.
            horizon = 0 if turn.deletes else turn.horizon
            yield f"{who} takes its snapshot", state._replace(turn=Turn(WRITING, turn.deletes, horizon, seen=seen))
    elif turn.deletes:
        deleted = state._replace(log=state.log - {*turn.seen}, stored=NOTHING, turn=Turn())
        yield "delete commits", _succeeded(_changed(state, deleted, rules), DELETE)
    else:
        for taken in _taken(turn.seen, rules):
            settled = state._replace(log=state.log - {*taken}, stored=taken[-1][1], turn=Turn())
            yield f"settler commits {taken}", _changed(state, settled, rules)
        for parts, xid in _merged(turn.seen, turn.horizon, rules):
            merged = state._replace(log=state.log - {*parts} | {(xid, parts[-1][1])}, turn=Turn())
            yield f"settler merges {parts} as {xid}", _changed(state, merged, rules)


def _taken(seen: tuple[Run, ...], rules: Rules) -> Iterator[tuple[Run, ...]]:
    for size in range(1, len(seen) + 1):
        yield from [seen[:size]] if rules.a_prefix_is_settled else combinations(seen, size)


def _merged(seen: tuple[Run, ...], horizon: int, rules: Rules) -> Iterator[tuple[tuple[Run, ...], int]]:
    """The runs that may be merged, and the id that the merged run takes: its last part may be of another series, and
    have any id before that of the next run.
    """
    bounds = [*(xid for xid, _ in seen), horizon]
    for first, last in combinations(range(len(seen) + 1), 2):
        for bound in bounds[last : last + 1] if rules.a_stretch_is_merged else bounds[last:]:
            yield seen[first:last], bound - 1


def _reader_steps(state: State, rules: Rules) -> Iterator[Step]:
    """One snapshot makes one step of reading the store and the log."""
    begun = Reader(state.stored, frozenset({_value(state, rules)}))
    if rules.reader_has_one_snapshot:
        _check_reader(begun, state, rules)
    elif state.reader is None:
        yield "reader reads the store", state._replace(reader=begun)
    else:
        # Nothing follows: what others do after it, they do also where there is no reader.
        _check_reader(state.reader, state, rules)


def _check_reader(reader: Reader, state: State, rules: Rules) -> None:
    found = _winner(state.log, reader.stored, rules)
    if found not in reader.values:
        raise OrderError(f"The reader found {found}, where there was nothing but {sorted(reader.values)}")


def _crashed(state: State) -> State:
    """What has not committed is gone."""
    for writer, appends in enumerate(state.appends):
        for number, append in enumerate(appends):
            if append.step in (SENT, LOCKED, NUMBERED, INSERTED):
                state = _with_append(state, writer, number, Append(ENDED))
                if writer != FIRST:
                    state = _with_operation(state, writer, Operation(REFUSED))
    if state.turn.deletes:
        state = _with_operation(state, DELETE, Operation(REFUSED))
    return state._replace(turn=Turn(), crashed=True, last_ended=state.next_xid - 1)


def _writing(state: State) -> frozenset[tuple[int, int]]:
    return frozenset(
        (writer, number)
        for writer, appends in enumerate(state.appends)
        for number, append in enumerate(appends)
        if append.step in (LOCKED, NUMBERED, INSERTED)
    )


def _numbered(state: State, writer: int, number: int, step: int) -> State:
    append = state.appends[writer][number]
    if append.xid:
        return _with_append(state, writer, number, append._replace(step=step))
    numbered = append._replace(step=step, xid=state.next_xid)
    return _with_append(state, writer, number, numbered)._replace(next_xid=state.next_xid + XID_STEP)


def _committed(state: State, rules: Rules, writer: int, number: int) -> State:
    xid = state.appends[writer][number].xid
    after = _with_append(state, writer, number, Append(COMMITTED))
    after = after._replace(log=state.log | {(xid, writer)}, last_ended=max(state.last_ended, xid))
    return _changed(state, after, rules)


def _end_append(state: State) -> State:
    """The first attempt of the first writer is undone, if there is anything to undo."""
    ended = _with_append(state, FIRST, 0, Append(ENDED))
    return ended._replace(last_ended=max(state.last_ended, state.appends[FIRST][0].xid))


def _value(state: State, rules: Rules) -> int:
    return _winner(state.log, state.stored, rules)


def _winner(log: frozenset[Run], stored: int, rules: Rules) -> int:
    if not log or (stored != NOTHING and not rules.unsettled_wins):
        return stored
    return max(log)[1]


def _changed(before: State, after: State, rules: Rules) -> State:
    """The state after a commit, with what its change of the value means for operations that are under way."""
    new = _value(after, rules)
    latest = DELETE if new == NOTHING else new
    change = before.operations[latest]
    # A second attempt that writes the value once more is a change too: it comes after whatever others did since.
    is_written_again = change.state == WAITING and max(after.log, default=None) not in {None, *before.log}
    if new == _value(before, rules) and not is_written_again:
        return after._replace(latest=latest)
    appears_late = change.state == REFUSED and before.latest in {NOTHING, latest, *change.begun_before}
    if change.state != WAITING and not appears_late:
        raise OrderError(f"The value of {before.latest} gave way to that of {latest}, which was over")
    operations = tuple(one._replace(explained=True) if one.state == WAITING else one for one in after.operations)
    reader = after.reader and after.reader._replace(values=after.reader.values | {new})
    return after._replace(operations=operations, reader=reader, latest=latest)


def _begun(state: State, number: int, rules: Rules) -> State:
    is_so_already = number == DELETE and _value(state, rules) == NOTHING
    return _with_operation(state, number, Operation(WAITING, explained=is_so_already))


def _succeeded(state: State, number: int) -> State:
    if not state.operations[number].explained:
        raise OrderError(f"Operation {number} succeeded, and nothing has changed")
    return _with_operation(state, number, Operation(SUCCEEDED))


def _refused(state: State, number: int) -> State:
    begun = frozenset(other for other, one in enumerate(state.operations) if one.state != IDLE)
    return _with_operation(state, number, Operation(REFUSED, begun_before=begun))


def _with_append(state: State, writer: int, number: int, append: Append) -> State:
    appends = list(state.appends[writer])
    appends[number] = append
    return state._replace(appends=(*state.appends[:writer], tuple(appends), *state.appends[writer + 1 :]))


def _with_operation(state: State, number: int, operation: Operation) -> State:
    return state._replace(operations=(*state.operations[:number], operation, *state.operations[number + 1 :]))
