#!/usr/bin/env python3
"""An independent eye on the sheet, and what breaks pictures; nothing but the standard library.

  picture.py break FILE DIRECTORY     copies that are cut short, and copies with other bytes, always the same ones
  picture.py size SHEET               WIDTH HEIGHT of a PNG that is whole
  picture.py at SHEET X Y...          the colours there, as RRGGBB
  picture.py like SHEET X Y RRGGBB... that they are these, but for what JPEG and WebP change
"""
import os
import random
import struct
import sys
import zlib

SIGNATURE = b'\x89PNG\r\n\x1a\n'


def chunk(kind, data):
    body = kind + data
    return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))


def write(directory, name, data):
    with open(os.path.join(directory, name), 'wb') as file:
        file.write(data)


def break_up(path, directory):
    with open(path, 'rb') as file:
        data = file.read()
    kind = os.path.splitext(path)[1]
    for count in (0, 1, 7, 13, 40, 100, -3, -20):
        write(directory, f'cut{count}{kind}', data[:count])
    for seed in range(1, 7):
        chance, changed = random.Random(seed), bytearray(data)
        # Not the first ones: it is to be taken for what it was.
        for place in chance.sample(range(12, len(data)), seed * 2):
            changed[place] ^= chance.randrange(1, 256)
        write(directory, f'flip{seed}{kind}', changed)


def paeth(left, up, corner):
    estimate = left + up - corner
    return min((abs(estimate - left), 0, left), (abs(estimate - up), 1, up), (abs(estimate - corner), 2, corner))[2]


def unfilter(kind, line, before, step):
    for i, byte in enumerate(line):
        left = line[i - step] if i >= step else 0
        corner = before[i - step] if i >= step else 0
        line[i] = (byte + (0, left, before[i], (left + before[i]) // 2, paeth(left, before[i], corner))[kind]) & 255


class Sheet:
    """A PNG of 8 bits a colour; each checksum and the end are looked at."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            data = file.read()
        assert data.startswith(SIGNATURE), 'not a PNG'
        at, packed, kind = 8, b'', None
        while kind != b'IEND':
            length, kind = struct.unpack_from('>I4s', data, at)
            body = data[at + 8:at + 8 + length]
            assert chunk(kind, body) == data[at:at + 12 + length], 'damaged'
            at += 12 + length
            if kind == b'IHDR':
                self.width, self.height, depth, colours, *rest = struct.unpack('>IIBBBBB', body)
                assert depth == 8 and colours in (2, 6) and rest == [0, 0, 0]
                self.step = 3 if colours == 2 else 4
            if kind == b'IDAT':
                packed += body
        assert at == len(data), 'bytes behind its end'
        self.raw = zlib.decompress(packed)
        assert len(self.raw) == self.height * (1 + self.width * self.step), 'rows are missing'

    def rows(self, last):
        before = bytearray(self.width * self.step)
        stride = 1 + len(before)
        for y in range(last + 1):
            line = bytearray(self.raw[y * stride + 1:(y + 1) * stride])
            if self.raw[y * stride]:
                unfilter(self.raw[y * stride], line, before, self.step)
            before = line
            yield line

    def colours(self, places):
        wanted, found = {}, {}
        for x, y in places:
            wanted.setdefault(y, []).append(x)
        for y, line in enumerate(self.rows(max(wanted))):
            for x in wanted.get(y, []):
                found[x, y] = line[x * self.step:x * self.step + 3].hex()
        return [found[place] for place in places]


def is_like(colour, wanted):
    return all(abs(a - b) <= 12 for a, b in zip(bytes.fromhex(colour), bytes.fromhex(wanted)))


def main(verb, path, *words):
    if verb == 'break':
        break_up(path, *words)
    elif verb == 'size':
        sheet = Sheet(path)
        print(sheet.width, sheet.height)
    elif verb == 'at':
        numbers = [int(word) for word in words]
        print(*Sheet(path).colours(list(zip(numbers[::2], numbers[1::2]))))
    elif verb == 'like':
        places, wanted = [(int(x), int(y)) for x, y in zip(words[::3], words[1::3])], words[2::3]
        found = Sheet(path).colours(places)
        print('found', *found, 'wanted', *wanted)
        sys.exit(not all(map(is_like, found, wanted)))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(*sys.argv[1:])
