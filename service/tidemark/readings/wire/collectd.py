"""The bodies that collectd's write_http plugin sends with `Format "JSON"`: arrays of value lists
(https://collectd.org/documentation/manpages/collectd.conf.html#plugin-write_http).

A value list has one value for each data source of its type, such as `rx` and `tx` for `if_octets`, and one timestamp
for all of them.
"""

from collections.abc import Iterator

import msgspec

from tidemark.base.errors import FieldError
from tidemark.base.values import Clock, check_instant, is_number, parse_epoch, parse_value
from tidemark.bodies.json_errors import explain
from tidemark.bodies.outcome import BodyError
from tidemark.readings.wire.known_names import remembered
from tidemark.readings.wire.objects import field_error
from tidemark.readings.wire.piece import Piece, PieceBuilder
from tidemark.readings.wire.series_names import series_name

PIECE = 10_000
"""Readings after which a piece ends, once its current value list is complete."""

_MAX_COMMAS = 2_000_000  # limits the elements of a body, each of which becomes an object


class ValueList(msgspec.Struct, gc=False):
    """One value list; `time` is in seconds, with all the digits that were sent. Other fields are ignored."""

    host: str
    plugin: str
    type: str
    dsnames: list[str]
    values: list[float | None]
    time: msgspec.Raw
    plugin_instance: str = ""
    type_instance: str = ""


_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value_list = msgspec.json.Decoder(ValueList).decode


class CollectdDecoder:
    """A Decoder (see tidemark.bodies.pipeline). It holds the whole body in memory, so its caller must limit the size.

    A record is a value list: all its readings have its position as their index. Each invalid value counts as a
    rejection. A value that collectd does not know (null) is not a reading and counts as skipped.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes; pieces are yielded only at the end of the body."""
        self._parts.append(data)
        return iter(())

    def flush(self) -> Iterator[Piece]:
        """Yield nothing: the format does not stream."""
        return iter(())

    def finish(self) -> Iterator[Piece]:
        """End the body and decode it. Raises BodyError."""
        body = b"".join(self._parts)
        self._parts = []
        if body.count(b",") > _MAX_COMMAS:
            raise BodyError("The array has too many elements; set a smaller BufferSize.")
        try:
            elements = _elements(body)
        except msgspec.ValidationError:
            raise BodyError("The body is not a JSON array of value lists.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BodyError(f"The body is not a JSON document: {explain(error)}.") from None
        now = self._clock()
        builder = PieceBuilder()
        for index, element in enumerate(elements):
            _add(builder, index, element, now)
            if len(builder) + builder.rejected >= PIECE:
                yield builder.piece()
                builder = PieceBuilder()
        if not builder.is_empty:
            yield builder.piece()


def _add(builder: PieceBuilder, index: int, element: msgspec.Raw, now: int) -> None:
    try:
        sent, at = _read(element, now)
    except FieldError as error:
        builder.reject(index, error)
        return
    for source, value in zip(sent.dsnames, sent.values, strict=True):
        if value is None:
            builder.skipped += 1
            continue
        try:
            name = _name(sent.plugin, source, sent.host, sent.plugin_instance, sent.type, sent.type_instance)
            builder.take(name, index, [at], [parse_value(value, "values")])
        except FieldError as error:
            builder.reject(index, error)


def _read(element: msgspec.Raw, now: int) -> tuple[ValueList, int]:
    """Return a value list and its instant (microseconds since 1970 UTC). Raises FieldError."""
    try:
        sent = _value_list(element)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise field_error(error) from None
    if len(sent.dsnames) != len(sent.values):
        raise FieldError("dsnames", "dsnames must have exactly one name for each value.")
    return sent, check_instant(_instant(sent.time), now, "time")


def _instant(time: msgspec.Raw) -> int:
    text = bytes(time).decode("utf-8", "replace")
    if not is_number(text):
        raise FieldError("time", "time must be a number of seconds since 1970.")
    return parse_epoch(text, "s", "time")


@remembered()
def _name(plugin: str, source: str, host: str, plugin_instance: str, kind: str, type_instance: str) -> str:
    """`plugin.source{host=…,plugin_instance=…,type=…,type_instance=…}` without the empty parts. Raises FieldError."""
    labels = {"host": host, "plugin_instance": plugin_instance, "type": kind, "type_instance": type_instance}
    return series_name(plugin, source, [(key, value) for key, value in labels.items() if value])
