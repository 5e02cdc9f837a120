#!/usr/bin/python3
"""Decodes a segment of ayre's, from docs/FORMAT.md alone: read_segment.py PATH

Prints one JSON object: what the header says, or that the segment is raw. A POSIX segment is
/dev/shm/NAME. Exit: 0; 1 the header is to be refused, and why is on standard error; 2 usage.

The independent eye on the format: it shares no line with the library.
"""

import json
import os
import struct
import sys

HEADER = struct.Struct("<8sIIIIq16sI12x192s")
MAGIC = b"AYRESEG\0"
VERSION = 1
HEADER_UNIT = 4096
TAG_MAX = 191


class Refused(Exception):
    """The segment has a header that must not be believed."""


def decode(head, total_bytes):
    """Judges the first bytes of a segment, in the order that section 3 lays down."""
    if total_bytes < HEADER.size or head[: len(MAGIC)] != MAGIC:
        return {"typed": False, "size_bytes": total_bytes}
    (_, version, header_bytes, compatible, incompatible, created_ns, generation,
     tag_bytes, tag) = HEADER.unpack(head)
    if version != VERSION:
        raise Refused(f"version {version} is not known")
    if incompatible != 0:
        raise Refused(f"incompatible features {incompatible:#x} are not known")
    if header_bytes == 0 or header_bytes % HEADER_UNIT or header_bytes > total_bytes:
        raise Refused(f"impossible header_bytes {header_bytes}")
    if not 1 <= tag_bytes <= TAG_MAX or tag.find(b"\0") != tag_bytes:
        raise Refused(f"impossible tag of {tag_bytes} bytes")
    return {
        "typed": True,
        "version": version,
        "header_bytes": header_bytes,
        "compatible_features": compatible,
        "incompatible_features": incompatible,
        "created_ns": created_ns,
        "generation": generation.hex(),
        "tag": tag[:tag_bytes].decode("utf-8", "backslashreplace"),
        "size_bytes": total_bytes - header_bytes,
    }


def read_segment(path):
    """Reads what has to be judged, once: others may be writing."""
    with open(path, "rb", buffering=0) as segment:
        return decode(segment.read(HEADER.size), os.fstat(segment.fileno()).st_size)


def main():
    if len(sys.argv) != 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    try:
        print(json.dumps(read_segment(sys.argv[1])))
    except (OSError, Refused) as problem:
        print(f"read_segment.py: {sys.argv[1]}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
