#!/usr/bin/python3
"""Reads the logs of a durable topic of ayre's, from docs/FORMAT.md alone.

    read_log.py show PATH   what the topic is, how far its logs are, and their extents
    read_log.py dump PATH   every message that is whole, and what is damaged

Prints JSON, an object a line. Exit: 0; 1 something is damaged or to be refused, and why is on standard error.

The independent eye on the format: it shares no line with the library, XXH3 included. It reads what is on the disk and
nothing else: of a topic that somebody uses, as much as has been carried.
"""

import base64
import json
import os
import re
import struct
import sys

TOPIC = struct.Struct("<8sIIIIq16sQIIIIII192sQQq208xQ")
SLOT = struct.Struct("<8sII16sQQQQQQq416xQ")
EXTENT = struct.Struct("<8sII16sQQQQQQqQ408xQ")
ENTRY = struct.Struct("<QQqQ")

MESSAGE, LARGE, CLOSED = 1, 2, 3
STAMPED, DIED, CHECKED = 1, 2, 4
SLOT_CLOSED = 1
BLOCK, STEP, LAG_STEP, LAG_UNKNOWN = 4096, 65536, 4096, 0xFFFF
NEVER = 2**63

# --- XXH3, 64 bits ---

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
P32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
       0x27D4EB2F165667C5)
MIX_1, MIX_2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
ALL = 2**64 - 1


def read32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def read64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def fold(one, other):
    product = one * other
    return (product ^ product >> 64) & ALL


def swap64(word):
    return int.from_bytes(word.to_bytes(8, "little"), "big")


def rotate(word, bits):
    return (word << bits | word >> 64 - bits) & ALL


def avalanche(word):
    word = (word ^ word >> 37) * MIX_1 & ALL
    return word ^ word >> 32


def avalanche_64(word):
    word = (word ^ word >> 33) * P64[1] & ALL
    word = (word ^ word >> 29) * P64[2] & ALL
    return word ^ word >> 32


def mix_16(data, at, secret, seed):
    return fold(read64(data, at) ^ (read64(SECRET, secret) + seed & ALL),
                read64(data, at + 8) ^ (read64(SECRET, secret + 8) - seed & ALL))


def hash_16(data, seed):
    size = len(data)
    if size > 8:
        low = (read64(SECRET, 24) ^ read64(SECRET, 32)) + seed & ALL
        high = (read64(SECRET, 40) ^ read64(SECRET, 48)) - seed & ALL
        low ^= read64(data, 0)
        high ^= read64(data, size - 8)
        return avalanche(size + swap64(low) + high + fold(low, high) & ALL)
    if size >= 4:
        seed ^= int.from_bytes((seed & 0xFFFFFFFF).to_bytes(4, "little"), "big") << 32
        word = read32(data, size - 4) + (read32(data, 0) << 32)
        word ^= (read64(SECRET, 8) ^ read64(SECRET, 16)) - seed & ALL
        word ^= rotate(word, 49) ^ rotate(word, 24)
        word = word * MIX_2 & ALL
        word = (word ^ (word >> 35) + size & ALL) * MIX_2 & ALL
        return word ^ word >> 28
    if size:
        word = data[0] << 16 | data[size >> 1] << 24 | data[size - 1] | size << 8
        return avalanche_64(word ^ ((read32(SECRET, 0) ^ read32(SECRET, 4)) + seed & ALL))
    return avalanche_64(seed ^ read64(SECRET, 56) ^ read64(SECRET, 64))


def hash_240(data, seed):
    size = len(data)
    total = size * P64[0] & ALL
    if size <= 128:
        for i in reversed(range((size - 1) // 32 + 1)):
            total += mix_16(data, 16 * i, 32 * i, seed)
            total += mix_16(data, size - 16 * (i + 1), 32 * i + 16, seed)
        return avalanche(total & ALL)
    for i in range(8):
        total += mix_16(data, 16 * i, 16 * i, seed)
    total = avalanche(total & ALL)
    for i in range(8, size // 16):
        total += mix_16(data, 16 * i, 16 * (i - 8) + 3, seed)
    return avalanche(total + mix_16(data, size - 16, 136 - 17, seed) & ALL)


def hash_long(data):
    """Of more than 240 bytes; nothing so long has a seed here."""
    lanes = [P32[2], *P64[:4], P32[1], P64[4], P32[0]]
    size = len(data)

    def add(at, secret):
        for i in range(8):
            word = read64(data, at + 8 * i)
            key = word ^ read64(SECRET, secret + 8 * i)
            lanes[i ^ 1] = lanes[i ^ 1] + word & ALL
            lanes[i] = lanes[i] + (key & 0xFFFFFFFF) * (key >> 32) & ALL

    for stripe in range((size - 1) // 64):
        add(64 * stripe, 8 * (stripe % 16))
        if stripe % 16 == 15:
            for i in range(8):
                word = lanes[i] ^ lanes[i] >> 47 ^ read64(SECRET, 128 + 8 * i)
                lanes[i] = word * P32[0] & ALL
    add(size - 64, 192 - 64 - 7)
    total = size * P64[0]
    for i in range(4):
        total += fold(lanes[2 * i] ^ read64(SECRET, 11 + 16 * i),
                      lanes[2 * i + 1] ^ read64(SECRET, 19 + 16 * i))
    return avalanche(total & ALL)


def xxh3(data, seed=0):
    if len(data) <= 16:
        return hash_16(data, seed)
    return hash_240(data, seed) if len(data) <= 240 else hash_long(data)


# --- the topic ---


class Refused(Exception):
    """What must not be believed."""


def fnv_1a(data):
    total = 0xCBF29CE484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return total


def as_number(digits):
    return int(digits, 16)


class Topic:
    """Sections 8, 23 and 24."""

    def __init__(self, path):
        self.path = path
        data = self.read("topic")
        if len(data) < 512 or data[:8] != b"AYRETOP\0":
            raise Refused("it is no topic")
        (_, version, _, _, features, self.created_ns, self.generation, self.ring_bytes, policy,
         self.mode, uid, self.gid, tag_bytes, self.sync, tag, self.extent_bytes,
         self.retain_bytes, self.retain_age_ns, checksum) = TOPIC.unpack(data[:512])
        if version != 1 or features & ~3:
            raise Refused("it is of a newer format")
        if features != 1:
            raise Refused("it is not durable")
        if checksum != fnv_1a(data[:504]):
            raise Refused("its description is damaged (checksum)")
        if (self.ring_bytes < 4096 or self.ring_bytes & self.ring_bytes - 1
                or self.ring_bytes > 2**40 or policy or self.mode & ~0o666 or tag_bytes > 191
                or tag[tag_bytes] or not 1 <= self.sync <= 3 or self.extent_bytes % 4096
                or not max(65536, self.ring_bytes) <= self.extent_bytes <= 2**40
                or self.retain_bytes >= NEVER or self.retain_age_ns < 0
                or uid != os.stat(self.file("topic")).st_uid):
            raise Refused("its description says what cannot be")
        self.uid = uid
        self.tag = tag[:tag_bytes].decode() or None

    def file(self, name):
        return os.path.join(self.path, name)

    def read(self, name):
        with open(os.open(self.file(name), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read()

    def may_publish(self, name):
        status = os.lstat(self.file(name))
        return (status.st_uid in (self.uid, 0) or self.mode & 0o002
                or (self.mode & 0o020 and status.st_gid == self.gid))

    def logs(self):
        names = sorted(os.listdir(self.path))
        return [name[4:] for name in names if re.fullmatch("log\\.[0-9a-f]{16}", name)]

    def extents(self, log):
        pattern = re.compile(f"log\\.{log}\\.([0-9a-f]{{16}})")
        found = (pattern.fullmatch(name) for name in os.listdir(self.path))
        return sorted(as_number(one[1]) for one in found if one)

    def describe(self):
        return {"topic": {
            "generation": self.generation.hex(), "created_ns": self.created_ns,
            "ring_bytes": self.ring_bytes, "mode": f"{self.mode:04o}", "tag": self.tag,
            "sync": [None, "none", "group", "each"][self.sync],
            "extent_bytes": self.extent_bytes, "retain_bytes": self.retain_bytes,
            "retain_age_ns": self.retain_age_ns}}


# --- its logs ---


class Slot:
    """Section 26."""

    def __init__(self, topic, log):
        data = topic.read(f"log.{log}")
        self.number = 0
        for at in (0, BLOCK):
            if len(data) < at + 512:
                continue
            (magic, version, flags, generation, identity, number, first, last, safe, sequence,
             _, checksum) = SLOT.unpack_from(data, at)
            if ((magic, version, generation, identity) ==
                    (b"AYRELOG\0", 1, topic.generation, as_number(log))
                    and checksum == xxh3(data[at:at + 504]) and number > self.number
                    and first <= last and max(last, safe, sequence) < NEVER):
                self.number, self.first, self.last = number, first, last
                self.safe, self.sequence = safe, sequence
                self.is_closed = bool(flags & SLOT_CLOSED)
        if not self.number:
            raise Refused("neither slot is whole")


def next_position(position, size):
    """Section 10."""
    span = (8 + size + 7) // 8 * 8
    end = position + span
    left = -end % 64
    return end + left if left < min(span, 64) else end


class Extent:
    """Sections 25, 27 and 28."""

    def __init__(self, topic, log, begin):
        name = f"log.{log}.{begin:016x}"
        data = topic.read(name)
        if len(data) < 512:
            raise Refused("its head is damaged")
        (magic, version, header_bytes, generation, identity, self.key, self.begin, self.sequence,
         self.capacity, ring_bytes, self.created_ns, self.follows,
         checksum) = EXTENT.unpack_from(data)
        index = -(-self.capacity // STEP) * ENTRY.size
        if ((magic, version, generation, identity, self.begin, ring_bytes) !=
                (b"AYREEXT\0", 1, topic.generation, as_number(log), begin, topic.ring_bytes)
                or checksum != xxh3(data[:504]) or begin % 8 or begin >= NEVER
                or self.follows > begin or self.sequence >= NEVER
                or not 65536 <= self.capacity <= 2**40
                or header_bytes != BLOCK + -(-index // BLOCK) * BLOCK
                or len(data) < header_bytes or not topic.may_publish(name)):
            raise Refused("its head is damaged")
        self.ring_bytes = ring_bytes
        self.index = data[BLOCK:header_bytes]
        size = min(len(data) - header_bytes, self.capacity)
        self.data = data[header_bytes:header_bytes + size // 8 * 8]
        self.end = begin + len(self.data)

    def record(self, position):
        """The header and the bytes of a whole record, or None."""
        at = position - self.begin
        if at < 0 or position >= self.end:
            return None
        header = read64(self.data, at)
        size, kind, flags, lag = (header & 0xFFFFFFFF, header >> 32 & 0xFF, header >> 40 & 0xFF,
                                  header >> 48)
        least = 8 + (8 if flags & STAMPED else 0) + (16 if kind == LARGE else 0)
        known = CHECKED | (DIED if kind == CLOSED else STAMPED)
        if (kind not in (MESSAGE, LARGE, CLOSED) or not flags & CHECKED or flags & ~known
                or size < least or size > self.ring_bytes // 4
                or size > len(self.data) - at - 8):
            return None
        data = self.data[at + 8:at + 8 + size]
        bound = struct.pack("<QQQ", xxh3(data[8:]), position, header)
        if read64(data, 0) != xxh3(bound, self.key):
            return None
        # What it proves to have been safe.
        proves = 0 if lag == LAG_UNKNOWN else max(0, position - lag * LAG_STEP)
        return kind, flags, data[8:], next_position(position, size), proves

    def entries(self):
        for i in range(len(self.index) // ENTRY.size):
            data = self.index[i * ENTRY.size:(i + 1) * ENTRY.size]
            position, sequence, time_ns, check = ENTRY.unpack(data)
            if (check == xxh3(data[:24], self.key) and position >= self.begin + i * STEP
                    and position < self.end):
                yield position, sequence, time_ns

    def behind(self, position):
        """The first whole record behind a place, and whether one proves that the place was safe."""
        first, at = None, position + 8
        while at < self.end:
            record = self.record(at)
            if record and first is None:
                first = at
            if record and record[4] > position:
                return first, True
            at = record[3] if record else at + 8
        return first, False


class Log:
    """Sections 30 and 31: all of it, from the oldest extent that was not given up."""

    def __init__(self, topic, log):
        self.topic, self.log, self.slot = topic, log, Slot(topic, log)
        self.position, self.sequence, self.is_closed = self.slot.first, None, True

    def damage(self, what):
        return {"publisher": self.log, "damaged": what, "position": self.position}

    def messages(self):
        begins = [one for one in self.topic.extents(self.log) if one >= self.slot.first]
        for i, begin in enumerate(begins):
            try:
                extent = Extent(self.topic, self.log, begin)
            except Refused as problem:
                yield self.damage(str(problem))
                continue
            if extent.follows > self.position:
                yield self.damage("what was before an extent is not there")
            self.position, self.sequence = extent.begin, extent.sequence
            yield from self.records(extent, begins[i + 1] if i + 1 < len(begins) else None)

    def records(self, extent, following):
        while following is None or self.position < following:
            record = extent.record(self.position)
            if record:
                yield from self.take(record)
                continue
            if following is not None and self.gives_up(following):
                return
            found, is_proved = extent.behind(self.position)
            if not is_proved and following is None and self.slot.safe <= self.position:
                return
            yield self.damage("records that were safe are not whole")
            # Which number what is behind it has, an entry of the index says, or the next extent.
            if found is None:
                return
            self.position, self.sequence = found, self.count(extent, found)

    def gives_up(self, following):
        try:
            return Extent(self.topic, self.log, following).follows == self.position
        except Refused:
            return False

    def count(self, extent, position):
        entries = {one: sequence for one, sequence, _ in extent.entries()}
        passed = 0
        while position not in entries:
            record = extent.record(position)
            if not record:
                return None
            passed += record[0] != CLOSED
            position = record[3]
        return entries[position] - passed

    def take(self, record):
        kind, flags, data, following, _ = record
        position, self.position = self.position, following
        self.is_closed = kind == CLOSED
        if kind == CLOSED:
            return
        time_ns = None
        if flags & STAMPED:
            time_ns, data = struct.unpack_from("<q", data)[0], data[8:]
        if kind == LARGE:
            size, hashed = struct.unpack("<QQ", data)
            try:
                data = self.topic.read(f"pub.{self.log}.{position:016x}")[:size]
            except OSError:
                data = b""
            if len(data) != size or xxh3(data) != hashed:
                yield self.damage("a message beside the ring is not what was sent")
                data = None
        if data is not None:
            yield describe_message(self.log, self.sequence, time_ns, data)
        if self.sequence is not None:
            self.sequence += 1


def describe_message(log, sequence, time_ns, data):
    line = {"publisher": log, "sequence": sequence, "time_ns": time_ns, "size_bytes": len(data)}
    try:
        line["text"] = data.decode()
    except UnicodeDecodeError:
        line["base64"] = base64.b64encode(data).decode()
    return line


# --- the two verbs ---


def dump(topic):
    for name in topic.logs():
        try:
            yield from Log(topic, name).messages()
        except Refused as problem:
            yield {"publisher": name, "damaged": str(problem)}


def show(topic):
    yield topic.describe()
    for name in topic.logs():
        log = Log(topic, name)
        slot = log.slot
        for _ in log.messages():
            pass
        yield {"log": name, "number": slot.number, "first": slot.first, "last": slot.last,
               "safe": slot.safe, "sequence": slot.sequence, "closed": slot.is_closed,
               "position": log.position, "messages": log.sequence}
        for begin in topic.extents(name):
            extent = Extent(topic, name, begin)
            yield {"extent": begin, "follows": extent.follows, "sequence": extent.sequence,
                   "key": f"{extent.key:016x}", "capacity_bytes": extent.capacity,
                   "created_ns": extent.created_ns, "end": extent.end,
                   "entries": [list(entry) for entry in extent.entries()]}


def main():
    verbs = {"show": show, "dump": dump}
    if len(sys.argv) != 3 or sys.argv[1] not in verbs:
        print(__doc__, file=sys.stderr)
        return 2
    is_damaged = False
    try:
        for line in verbs[sys.argv[1]](Topic(sys.argv[2])):
            is_damaged |= "damaged" in line
            print(json.dumps(line, ensure_ascii=False), flush=True)
    except (OSError, Refused) as problem:
        print(f"read_log.py: {sys.argv[2]}: {problem}", file=sys.stderr)
        return 1
    return 1 if is_damaged else 0


if __name__ == "__main__":
    sys.exit(main())
