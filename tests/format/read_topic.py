#!/usr/bin/python3
"""Reads a topic of ayre's, from docs/FORMAT.md alone.

    read_topic.py show PATH             what it is, and who publishes and subscribes
    read_topic.py dump PATH             every message that is still there
    read_topic.py follow [OPTION]... PATH
        subscribes, and goes on until every publisher has ended
        --lossy    so that nobody waits for it
        --frames   messages as their length (4 bytes, little-endian) and their bytes
        --slowly   a rest after each message

Prints JSON, an object a line. Exit: 0; 1 something is to be refused, and why is on standard error; 2
usage; 3 a publisher ended without closing.

The independent eye on the format: it shares no line with the library. It loads and stores whole words
through memoryviews, and takes the order of loads and of stores from the processor: x86-64.
"""

import argparse
import base64
import errno
import fcntl
import json
import mmap
import os
import re
import select
import stat
import struct
import sys
import threading
import time

TOPIC = struct.Struct("<8sIIIIq16sQIIIII4x192s232xQ")
FIRST_LINE = struct.Struct("<8sII16sQ")  # of lanes and cursors
LOCK = struct.Struct("@hhqqi4x")  # struct flock
LOCK_BYTE = LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0)
PEER = re.compile("(pub|sub)\\.([0-9a-f]{16})")

# In words.
PUBLISHERS, LIMIT, WAITING, FENCED, BESIDE = 64 // 8, 128 // 8, 136 // 8, 144 // 8, 168 // 8
CHECKPOINTS = [(512 + 32 * i) // 8 for i in range(32)]
ENTRY_COUNT, ENTRIES, ENTRY = 64 // 8, 2176 // 8, 32 // 8

MESSAGE, LARGE, CLOSED = 1, 2, 3
STAMPED, DIED = 1, 2
LOSSY, NEEDS_FENCE = 1, 2


class Refused(Exception):
    """What must not be believed."""


def fnv_1a(data):
    total = 0xCBF29CE484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return total


def full_fence(lock=threading.Lock()):
    """An atomic exchange, which is one on this processor."""
    with lock:
        pass


def is_owned(fd):
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, LOCK_BYTE)
    return LOCK.unpack(answer)[0] == fcntl.F_WRLCK


def open_bell(path):
    """Its writing end, or None: nobody reads it."""
    try:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            return None
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as problem:
        if problem.errno in (errno.ENXIO, errno.ENOENT):
            return None
        raise


def ring(bell, what):
    try:
        if bell is not None:
            os.write(bell, what)
    except (BlockingIOError, BrokenPipeError):
        pass


class Topic:
    """Sections 7 and 8."""

    def __init__(self, path):
        self.path = path
        fd = os.open(self.file("topic"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            head, owner = file.read(TOPIC.size), os.fstat(fd).st_uid
        if len(head) < TOPIC.size or head[:8] != b"AYRETOP\0":
            raise Refused("no topic")
        (_, self.version, self.header_bytes, compatible, incompatible, self.created_ns,
         self.generation, self.ring_bytes, policy, self.mode, self.uid, self.gid, tag_bytes,
         tag, checksum) = TOPIC.unpack(head)
        if self.version != 1 or incompatible != 0:
            raise Refused("a newer format")
        if checksum != fnv_1a(head[:504]):
            raise Refused("its checksum is wrong")
        page = os.sysconf("SC_PAGESIZE")
        if (self.ring_bytes not in [2**i for i in range(12, 41)] or self.ring_bytes % page
                or self.header_bytes < 4096 or self.header_bytes % 4096
                or self.header_bytes % page or self.mode & ~0o666 or tag_bytes > 191
                or tag[tag_bytes] != 0 or self.uid != owner):
            raise Refused("it says what cannot be")
        if policy > 1:
            raise Refused(f"a policy of {policy}")
        self.is_lossy = bool(policy & 1)
        self.tag = tag[:tag_bytes].decode("utf-8", "backslashreplace")

    def file(self, name):
        return os.path.join(self.path, name)

    def peers(self, kind):
        matches = map(PEER.fullmatch, sorted(os.listdir(self.path)))
        return [match[2] for match in matches if match and match[1] == kind]

    def open(self, name, least_bytes, flags=os.O_RDONLY):
        """A peer's file and its status; None: it is not there, or nothing to believe."""
        try:
            fd = os.open(self.file(name), flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size < least_bytes:
            os.close(fd)
            return None
        return fd, status

    def may_publish(self, status):
        return (status.st_uid in (self.uid, 0) or bool(self.mode & 0o002)
                or bool(self.mode & 0o020) and status.st_gid == self.gid)

    def describe(self):
        return {"topic": {
            "version": self.version, "generation": self.generation.hex(),
            "created_ns": self.created_ns, "ring_bytes": self.ring_bytes,
            "lossy": self.is_lossy, "mode": f"{self.mode:04o}", "tag": self.tag}}


class Overtaken(Exception):
    """What was read is not what was stored."""


class Lane:
    """Sections 9 to 11 and 14: a lane, and a place in it."""

    def __init__(self, topic, peer):
        found = topic.open(f"pub.{peer}", topic.header_bytes + topic.ring_bytes)
        if found is None:
            raise Refused("it is gone")
        fd, status = found
        try:
            if not topic.may_publish(status):
                raise Refused("its owner may not publish")
            size = topic.header_bytes + topic.ring_bytes
            self.map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)
        magic, version, header_bytes, generation, identity = FIRST_LINE.unpack_from(self.map)
        self.words = memoryview(self.map).cast("Q")
        if ((magic, version, header_bytes, generation, identity, self.words[5]) !=
                (b"AYRELAN\0", 1, topic.header_bytes, topic.generation, int(peer, 16),
                 topic.ring_bytes)):
            raise Refused("it is no lane of this topic")
        self.topic, self.peer, self.uid = topic, peer, status.st_uid
        self.start, self.ring_bytes = topic.header_bytes, topic.ring_bytes
        self.missed = 0
        self.is_closed = False
        self.seek_oldest()

    def limit(self):
        return self.words[LIMIT]

    def is_intact(self):
        """Step c."""
        return self.position < self.limit() <= self.position + self.ring_bytes

    def checkpoints(self, limit):
        """Those that count, the oldest first: position and number."""
        whole = []
        for slot in CHECKPOINTS:
            position, sequence = self.words[slot], self.words[slot + 1]
            if (position == self.words[slot] != 0 and position % 8 == 0
                    and limit - self.ring_bytes <= position < limit):
                whole.append((position, sequence))
        return sorted(whole)

    def seek_oldest(self):
        for _ in range(64):
            found = self.checkpoints(self.limit())
            if found:
                self.position, self.sequence = found[0]
                if self.is_intact():
                    return
        raise Refused("it has no checkpoint")

    def catch_up(self):
        before = self.position, self.sequence
        limit = self.limit()
        late = [one for one in self.checkpoints(limit) if one[0] >= limit - self.ring_bytes // 2]
        if late:
            self.position, self.sequence = late[0]
        else:
            self.seek_oldest()
        if self.position <= before[0] or self.sequence < before[1]:
            raise Refused("it goes backwards")
        self.missed += self.sequence - before[1]

    def bytes_at(self, position, count):
        """Round the end of the ring, if need be."""
        place = position % self.ring_bytes
        first = min(count, self.ring_bytes - place)
        begin = self.start + place
        return (self.map[begin:begin + first]
                + self.map[self.start:self.start + count - first])

    def end_of(self, count):
        """Where the next record begins."""
        span = (8 + count + 7) // 8 * 8
        end = self.position + span
        left = -end % 64
        return end + left if left < min(span, 64) else end

    def look(self):
        """Steps a to c: None, or the kind, flags and bytes of the record here."""
        header = self.words[(self.start + self.position % self.ring_bytes) // 8]
        count, kind, flags = header % 2**32, header >> 32 & 0xFF, header >> 40 & 0xFF
        body = self.bytes_at(self.position + 8, min(count, self.ring_bytes // 4))
        if not self.is_intact():
            raise Overtaken
        if header == 0:
            return None
        least = (8 if flags & STAMPED else 0) + (8 if kind == LARGE else 0)
        known = DIED if kind == CLOSED else STAMPED
        if (kind not in (MESSAGE, LARGE, CLOSED) or flags & ~known or header >> 48
                or not least <= count <= self.ring_bytes // 4):
            raise Refused(f"a header of {header:#x} at {self.position}")
        return kind, flags, body

    def read_large(self, size):
        """The bytes, or None: it is gone, or was written over."""
        name = f"pub.{self.peer}.{self.position:016x}"
        found = self.topic.open(name, 0)
        if found is None:
            return None
        with open(found[0], "rb") as file:
            data = file.read(size)
        status = found[1]
        full_fence()
        if self.words[BESIDE] > self.position:
            return None
        if (status.st_uid != self.uid or len(data) != size
                or status.st_blocks * 512 < size):
            raise Refused(f"{name} is not what its record says")
        return data

    def take(self):
        """The next message as (number, time or None, bytes, is it large), or None: there is none now."""
        while True:
            try:
                record = self.look()
            except Overtaken:
                self.catch_up()
                continue
            if record is None:
                return None
            kind, flags, body = record
            end, number, time_ns = self.end_of(len(body)), self.sequence, None
            if flags & STAMPED:
                time_ns, body = struct.unpack("<q", body[:8])[0], body[8:]
            self.is_closed = kind == CLOSED
            if kind == LARGE:
                body = self.read_large(struct.unpack("<Q", body)[0])
                self.missed += body is None
            self.position = end
            if kind == CLOSED:
                continue
            self.sequence += 1
            if body is not None:
                return number, time_ns, body, kind == LARGE


class Cursor:
    """Section 15: our own. Made whole, with its lock and its bell, before it has its name."""

    def __init__(self, topic, is_lossy):
        self.topic = topic
        self.peer = f"{int.from_bytes(os.urandom(8), 'little') or 1:016x}"
        self.fd = os.open(topic.path, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.fchmod(self.fd, 0o644)
        os.posix_fallocate(self.fd, 0, 4096)
        fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK,
                    LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        self.map_all(4096)
        FIRST_LINE.pack_into(self.map, 0, b"AYRESUB\0", 1, 2176, topic.generation,
                             int(self.peer, 16))
        struct.pack_into("<qiIQ", self.map, 40, time.time_ns(), os.getpid(), os.geteuid(),
                         NEEDS_FENCE | (LOSSY if is_lossy else 0))
        self.ticket = 128 // 8 + 8 * (int(self.peer, 16) % 32)
        path = topic.file(f"sub.{self.peer}.bell")
        os.mkfifo(path)
        os.chmod(path, 0o622)
        self.bell = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.flock(self.bell, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # With a directory, os.link() is linkat(2), which can follow the link in /proc.
        with_directory = os.open("/proc/self/fd", os.O_RDONLY)
        os.link(str(self.fd), topic.file(f"sub.{self.peer}"), src_dir_fd=with_directory,
                follow_symlinks=True)
        os.close(with_directory)
        join = os.open(topic.file("join"), os.O_WRONLY | os.O_NOFOLLOW)
        os.pwrite(join, os.urandom(8), 0)
        os.close(join)

    def map_all(self, size):
        self.map = mmap.mmap(self.fd, size)
        self.words = memoryview(self.map).cast("Q")

    def add(self, peer, position):
        """An entry: its place, in words."""
        count = self.words[ENTRY_COUNT]
        entry = ENTRIES + ENTRY * count
        if entry + ENTRY > len(self.words):
            size = 2 * len(self.map)
            os.posix_fallocate(self.fd, 0, size)
            self.map_all(size)
        self.words[entry + 1] = position
        self.words[entry] = int(peer, 16)
        self.words[ENTRY_COUNT] = count + 1
        return entry

    def close(self):
        for suffix in ("", ".bell"):
            try:
                os.unlink(self.topic.file(f"sub.{self.peer}{suffix}"))
            except FileNotFoundError:
                pass


class Source:
    """A lane as we stand to it, and its publisher's bell."""

    def __init__(self, topic, peer, cursor):
        self.lane, self.topic, self.cursor = Lane(topic, peer), topic, cursor
        self.bell, self.answered, self.received = None, 0, 0
        self.entry = cursor.add(peer, self.lane.position)
        self.published = self.lane.position
        self.find_publisher()

    def find_publisher(self):
        if self.bell is not None:
            os.close(self.bell)
        self.publishers = self.lane.words[PUBLISHERS]
        self.bell = open_bell(self.topic.file(f"pub.{self.lane.peer}.bell"))
        self.answered = 0
        found = self.topic.open(f"pub.{self.lane.peer}", 0)
        self.is_live = found is not None and is_owned(found[0]) and self.bell is not None
        if found:
            os.close(found[0])

    def is_gone(self):
        """Its bell hung up."""
        os.close(self.bell)
        self.bell, self.is_live = None, False

    def publish(self):
        """Sections 15 and 17."""
        words, lane = self.cursor.words, self.lane
        if self.published != lane.position:
            words[self.entry + 2], words[self.entry + 3] = self.received, lane.missed
            words[self.entry + 1] = self.published = lane.position
        full_fence()
        if self.is_awaited():
            waiting = lane.words[WAITING]
            if lane.words[PUBLISHERS] != self.publishers:
                self.find_publisher()
            self.answered = waiting
            ring(self.bell, b"m")

    def is_awaited(self):
        return self.lane.words[WAITING] not in (0, self.answered) and (
            self.lane.words[WAITING] <= self.lane.position)

    def take(self):
        message = self.lane.take()
        if message:
            self.received += 1
        if (self.lane.position - self.published >= self.lane.ring_bytes // 8
                or self.is_awaited() or (message and message[3])):
            self.publish()
        return message

    def has_something(self):
        lane = self.lane
        word = lane.words[(lane.start + lane.position % lane.ring_bytes) // 8]
        return word != 0 or not lane.is_intact()

    def has_ended(self):
        return not self.has_something() and (self.lane.is_closed or not self.is_live)


class Subscriber:
    """Sections 16 and 18."""

    def __init__(self, topic, is_lossy):
        self.topic, self.cursor, self.sources = topic, Cursor(topic, is_lossy), {}
        self.has_looked = False
        self.look()
        for source in self.sources.values():
            ring(source.bell, b"j")

    def look(self):
        for peer in self.topic.peers("pub"):
            source = self.sources.get(peer)
            if source is None:
                try:
                    source = Source(self.topic, peer, self.cursor)
                except Refused:
                    continue
                if self.has_looked:
                    source.lane.missed = source.lane.sequence
                self.sources[peer] = source
            elif not source.is_live or source.publishers != source.lane.words[PUBLISHERS]:
                source.find_publisher()
        self.has_looked = True

    def messages(self):
        """Until every publisher, one at least, has ended. None: it is about to sleep."""
        while True:
            found = False
            for source in list(self.sources.values()):
                message = source.take()
                if message:
                    found = True
                    yield source.lane, message
            if found:
                continue
            if self.sources and all(one.has_ended() for one in self.sources.values()):
                return
            yield None
            self.sleep()

    def sleep(self):
        words, ticket = self.cursor.words, self.cursor.ticket
        for source in self.sources.values():
            source.publish()
        words[ticket] += 1
        full_fence()
        is_fenced = all(one.lane.words[FENCED] == 1 for one in self.sources.values()
                        if one.is_live)
        if not any(one.has_something() for one in self.sources.values()):
            self.wait(None if is_fenced else 10)
        # The map may have grown meanwhile.
        self.cursor.words[ticket] += 1

    def wait(self, milliseconds):
        poll = select.poll()
        poll.register(self.cursor.bell, select.POLLIN)
        bells = {}
        for source in self.sources.values():
            if source.bell is not None:
                poll.register(source.bell, 0)
                bells[source.bell] = source
        for fd, _ in poll.poll(milliseconds):
            if fd == self.cursor.bell:
                heard = os.read(fd, 512)
                if b"j" in heard or len(heard) == 512:
                    self.look()
            elif bells[fd].bell == fd:
                # It may be that somebody else has the lane already.
                bells[fd].is_gone()
                bells[fd].find_publisher()


def format_message(lane, message):
    number, time_ns, data, _ = message
    line = {"publisher": lane.peer, "sequence": number, "time_ns": time_ns,
            "size_bytes": len(data)}
    try:
        line["text"] = data.decode()
    except UnicodeDecodeError:
        line["base64"] = base64.b64encode(data).decode()
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def format_frame(_, message):
    return struct.pack("<I", len(message[2])) + message[2]


def describe_lane(topic, peer):
    lane = Lane(topic, peer)
    while lane.take():
        pass
    fd, _ = topic.open(f"pub.{peer}", 0)
    with open(fd, "rb"):
        is_live = is_owned(fd)
    return {"publisher": peer, "alive": is_live, "closed": lane.is_closed,
            "publishers": lane.words[PUBLISHERS], "messages": lane.sequence,
            "position": lane.position, "limit": lane.limit()}


def describe_cursor(topic, peer):
    found = topic.open(f"sub.{peer}", 4096)
    if found is None:
        raise Refused("it is gone")
    with open(found[0], "rb") as file:
        page, is_live = file.read(), is_owned(found[0])
    magic, version, header_bytes, generation, identity = FIRST_LINE.unpack_from(page)
    if ((magic, version, header_bytes, generation, identity) !=
            (b"AYRESUB\0", 1, 2176, topic.generation, int(peer, 16))):
        raise Refused("it is no cursor of this topic")
    words = memoryview(page).cast("Q")
    room = (len(words) - ENTRIES) // ENTRY
    lanes = [words[ENTRIES + ENTRY * i:ENTRIES + ENTRY * (i + 1)]
             for i in range(min(room, words[ENTRY_COUNT]))]
    return {"subscriber": peer, "alive": is_live, "flags": words[7],
            "asleep": words[128 // 8 + 8 * (identity % 32)] % 2 == 1,
            "lanes": [{"publisher": f"{one[0]:016x}", "position": one[1],
                       "received": one[2], "missed": one[3]} for one in lanes]}


def show(topic, _):
    yield topic.describe()
    for kind, describe in (("pub", describe_lane), ("sub", describe_cursor)):
        for peer in topic.peers(kind):
            try:
                yield describe(topic, peer)
            except Refused as problem:
                yield {kind: peer, "refused": str(problem)}


def write_lines(lines):
    for line in lines:
        print(json.dumps(line, ensure_ascii=False), flush=True)


def dump(topic, _):
    for peer in topic.peers("pub"):
        lane = Lane(topic, peer)
        while message := lane.take():
            yield json.loads(format_message(lane, message))


def follow(topic, options):
    write = format_frame if options.frames else format_message
    subscriber = Subscriber(topic, options.lossy)
    try:
        print("subscribed", file=sys.stderr, flush=True)
        for found in subscriber.messages():
            if found is None:
                sys.stdout.buffer.flush()
                continue
            sys.stdout.buffer.write(write(*found))
            if options.slowly:
                time.sleep(0.001)
        sys.stdout.buffer.flush()
    finally:
        subscriber.cursor.close()
    lost = False
    for peer, source in subscriber.sources.items():
        lost |= not source.lane.is_closed
        print(json.dumps({"publisher": peer, "closed": source.lane.is_closed,
                          "received": source.received, "missed": source.lane.missed}),
              file=sys.stderr)
    return 3 if lost else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("verb", choices=("show", "dump", "follow"))
    parser.add_argument("path")
    for option in ("--lossy", "--frames", "--slowly"):
        parser.add_argument(option, action="store_true")
    options = parser.parse_args()
    try:
        topic = Topic(options.path)
        if options.verb == "follow":
            return follow(topic, options)
        write_lines({"show": show, "dump": dump}[options.verb](topic, options))
    except (OSError, Refused) as problem:
        print(f"read_topic.py: {options.path}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
