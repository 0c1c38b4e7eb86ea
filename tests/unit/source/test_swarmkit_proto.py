"""The generated code says what watch.proto says, whichever release of the generator made it."""

from __future__ import annotations

import re
import subprocess
import sys

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from lbgen.source.swarmkit import watch_pb2
from tests.support.paths import ROOT

PROTO = "lbgen/source/swarmkit/watch.proto"


def described(message, prefix=""):
    """Every name in a message, with those of its fields."""
    yield prefix + message.name, [field.name for field in message.field]
    for nested in message.nested_type:
        yield from described(nested, f"{prefix}{message.name}.")


def forget_json_names(message):
    """Which only the compiler writes down."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        forget_json_names(nested)


def test_code_is_that_of_the_proto(tmp_path):
    """Message by message, field by field, number by number."""
    out = tmp_path / "watch.bin"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"--descriptor_set_out={out}", PROTO]
    subprocess.run(command, check=True, cwd=ROOT)
    [compiled] = FileDescriptorSet.FromString(out.read_bytes()).file
    generated = FileDescriptorProto()
    watch_pb2.DESCRIPTOR.CopyToProto(generated)
    for message in (*compiled.message_type, *generated.message_type):
        forget_json_names(message)
    assert generated == compiled


def test_types_are_those_of_the_code():
    """watch_pb2.pyi names every field, and no other."""
    generated = FileDescriptorProto()
    watch_pb2.DESCRIPTOR.CopyToProto(generated)
    fields = [name for message in generated.message_type for _, names in described(message) for name in names]
    text = (ROOT / "lbgen/source/swarmkit/watch_pb2.pyi").read_text()
    numbers = re.findall(r"(\w+)_FIELD_NUMBER: ", text)
    assert sorted(numbers) == sorted(name.upper() for name in fields)
