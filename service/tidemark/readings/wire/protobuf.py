"""Protobuf's wire format, as https://protobuf.dev/programming-guides/encoding/ describes it, and message classes.

A large message is split field by field, because the parser can turn two bytes into an object of a hundred bytes or
more: parsing a whole request of 32 MiB could need gigabytes. Small messages are parsed by classes that are created here
at run time, without generated code.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field: TypeAlias = tuple[str, int, "int | str", bool]
"""Name, number, type (one of FieldDescriptorProto's, or the name of another message), and whether it is repeated."""

OF = descriptor_pb2.FieldDescriptorProto

_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_LENGTHS = {1: 8, 5: 4}


class MalformedError(ValueError):
    """The bytes are not a message."""


def message_classes(package: str, messages: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """A class for each message, keyed by the name of the message."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            member = described.field.add(name=name, number=number)
            member.label = OF.LABEL_REPEATED if repeated else OF.LABEL_OPTIONAL
            if isinstance(kind, str):
                member.type, member.type_name = OF.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                member.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def fields_of(message: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The fields of a message: their numbers, and the contents of length-delimited ones. Raises MalformedError."""
    offset = 0
    while offset < len(message):
        try:
            tag, offset = _varint(message, offset)
            number, kind = tag >> 3, tag & 7
            length = _FIXED_LENGTHS.get(kind, 0)
            if kind == _LENGTH_DELIMITED:
                length, offset = _varint(message, offset)
            elif kind == _VARINT:
                _, offset = _varint(message, offset)
            elif not length:
                raise MalformedError
        except IndexError:
            raise MalformedError from None
        if number == 0 or offset + length > len(message):
            raise MalformedError
        yield number, message[offset : offset + length] if kind == _LENGTH_DELIMITED else None
        offset += length


def _varint(message: bytes, offset: int) -> tuple[int, int]:
    """The varint at an offset, and the offset after it. Raises IndexError if it does not end."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
    raise IndexError
