"""Lark's binary frames: protobuf (proto2), one WebSocket message each.

The schema is ``ws/pbbp2.pb.go`` of the Go SDK, built here as a descriptor at run time: no generated code, no
SDK.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, cast

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from longwire_connectors.simulator.errors import ClientFrameError

__all__ = ["CONTROL", "DATA", "LarkFrame", "decode", "encode"]

CONTROL = 0
"""``method`` of pings and pongs."""
DATA = 1
"""``method`` of events, cards and acks."""

_PACKAGE = "longwire.simulator.pbbp2"
_FieldType = descriptor_pb2.FieldDescriptorProto
_REQUIRED = _FieldType.LABEL_REQUIRED
_OPTIONAL = _FieldType.LABEL_OPTIONAL
_REPEATED = _FieldType.LABEL_REPEATED


class LarkFrame(msgspec.Struct, kw_only=True):
    """One frame. ``headers`` keeps the order of the wire; of a repeated key the last value counts."""

    method: int
    service: int
    headers: dict[str, str]
    seq_id: int = 0
    log_id: int = 0
    payload_encoding: str | None = None
    payload_type: str | None = None
    payload: bytes | None = None
    log_id_new: str | None = None


class _Header(Protocol):
    key: str
    value: str


class _Headers(Protocol):
    def add(self, *, key: str, value: str) -> _Header: ...
    def __iter__(self) -> Iterator[_Header]: ...


class _Frame(Protocol):
    """What the generated message class offers."""

    SeqID: int
    LogID: int
    service: int
    method: int
    headers: _Headers
    payload_encoding: str
    payload_type: str
    payload: bytes
    LogIDNew: str

    def HasField(self, field_name: str) -> bool: ...  # noqa: N802  protobuf's name
    def IsInitialized(self) -> bool: ...  # noqa: N802  protobuf's name
    def SerializeToString(self) -> bytes: ...  # noqa: N802  protobuf's name
    def ParseFromString(self, serialized: bytes) -> int: ...  # noqa: N802  protobuf's name


def encode(frame: LarkFrame) -> bytes:
    """Return the frame's bytes; ``ValueError`` for a number that does not fit its field.

    The four required numbers are written even when 0, as the SDKs expect.
    """
    message = _new_message()
    message.SeqID, message.LogID = frame.seq_id, frame.log_id
    message.service, message.method = frame.service, frame.method
    for key, value in frame.headers.items():
        message.headers.add(key=key, value=value)
    _set_optional(message, frame)
    return message.SerializeToString()


def decode(data: bytes) -> LarkFrame:
    """Return the frame of these bytes, ClientFrameError if they are none or a required field is missing."""
    message = _new_message()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ClientFrameError(f"{len(data)} bytes that are no frame: {error}") from error
    if not message.IsInitialized():
        raise ClientFrameError(f"{len(data)} bytes without all required fields")
    return LarkFrame(
        seq_id=message.SeqID,
        log_id=message.LogID,
        service=message.service,
        method=message.method,
        headers={header.key: header.value for header in message.headers},
        payload_encoding=message.payload_encoding if message.HasField("payload_encoding") else None,
        payload_type=message.payload_type if message.HasField("payload_type") else None,
        payload=message.payload if message.HasField("payload") else None,
        log_id_new=message.LogIDNew if message.HasField("LogIDNew") else None,
    )


def _set_optional(message: _Frame, frame: LarkFrame) -> None:
    if frame.payload_encoding is not None:
        message.payload_encoding = frame.payload_encoding
    if frame.payload_type is not None:
        message.payload_type = frame.payload_type
    if frame.payload is not None:
        message.payload = frame.payload
    if frame.log_id_new is not None:
        message.LogIDNew = frame.log_id_new


def _field(name: str, number: int, label: int, kind: int) -> descriptor_pb2.FieldDescriptorProto:
    field = descriptor_pb2.FieldDescriptorProto(name=name, number=number)
    field.label = label  # type: ignore[assignment]  # the stub wants an enum wrapper, the runtime takes its number
    field.type = kind  # type: ignore[assignment]  # as above
    return field


def _describe(
    name: str, fields: Iterable[descriptor_pb2.FieldDescriptorProto]
) -> descriptor_pb2.DescriptorProto:
    return descriptor_pb2.DescriptorProto(name=name, field=list(fields))


def _build_frame_class() -> type[_Frame]:
    headers = _field("headers", 5, _REPEATED, _FieldType.TYPE_MESSAGE)
    headers.type_name = f".{_PACKAGE}.Header"
    header = (
        _field("key", 1, _REQUIRED, _FieldType.TYPE_STRING),
        _field("value", 2, _REQUIRED, _FieldType.TYPE_STRING),
    )
    frame = (
        _field("SeqID", 1, _REQUIRED, _FieldType.TYPE_UINT64),
        _field("LogID", 2, _REQUIRED, _FieldType.TYPE_UINT64),
        _field("service", 3, _REQUIRED, _FieldType.TYPE_INT32),
        _field("method", 4, _REQUIRED, _FieldType.TYPE_INT32),
        headers,
        _field("payload_encoding", 6, _OPTIONAL, _FieldType.TYPE_STRING),
        _field("payload_type", 7, _OPTIONAL, _FieldType.TYPE_STRING),
        _field("payload", 8, _OPTIONAL, _FieldType.TYPE_BYTES),
        _field("LogIDNew", 9, _OPTIONAL, _FieldType.TYPE_STRING),
    )
    file = descriptor_pb2.FileDescriptorProto(
        name="longwire_simulator_pbbp2.proto", package=_PACKAGE, syntax="proto2"
    )
    file.message_type.extend([_describe("Header", header), _describe("Frame", frame)])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return cast(
        "type[_Frame]", message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Frame"))
    )


_new_message = _build_frame_class()
