# The picture of `ayre bench --plot`, read as a person would: does it show what the JSON of the same run says?
# usage: plot_shows.py FILE.svg FILE.json
#
# It knows nothing of how the picture is made but the names of its marks: heights are told by the ticks beside them.

import json
import math
import re
import sys
import xml.etree.ElementTree as tree

SVG = '{http://www.w3.org/2000/svg}'
UNITS = {'ns': 1, 'us': 1e3, 'ms': 1e6, 's': 1e9, 'B/s': 1, 'kB/s': 1e3, 'MB/s': 1e6, 'GB/s': 1e9}

picture = tree.parse(sys.argv[1]).getroot()
with open(sys.argv[2]) as file:
    document = json.load(file)
wrong = []


def figure(row):
    return row['median_bytes'] if 'median_bytes' in row else row['median_ns']


def check(is_true, what):
    if not is_true:
        wrong.append(what)


# --- each figure once, and no others ---

marks = {}
for mark in picture.iter():
    if 'data-row' in mark.attrib:
        key = (mark.get('data-group'), mark.get('data-row'))
        check(key not in marks, f'{key} is drawn twice')
        marks[key] = mark
rows = {}
for bench in document['benchmarks']:
    for row in bench['floors'] + bench['rows']:
        rows[row['group'], row['name']] = row
check(marks.keys() == rows.keys(), f'drawn or measured, but not both: {sorted(marks.keys() ^ rows.keys())}')
for key in marks.keys() & rows.keys():
    check(int(marks[key].get('data-median')) == figure(rows[key]), f'{key}: another median')
    check(rows[key]['label'] in marks[key].findtext(SVG + 'title', ''), f'{key}: its title does not name it')

# --- every series by its name, as text ---

texts = [''.join(text.itertext()) for text in picture.iter(SVG + 'text')]
for row in rows.values():
    check(any(row['label'] in text for text in texts), f'{row["label"]}: no text says so')
width = float(picture.get('width'))
for text in picture.iter(SVG + 'text'):
    x, content = float(text.get('x')), ''.join(text.itertext())
    # Six units for a letter, at 13 to an em: less than any font of it takes.
    if text.get('text-anchor') is None:
        check(x + 6 * len(content) <= width, f'does not fit: {content}')

# --- bars: the longer, the more times the floor ---

groups = {}
for key, mark in marks.items():
    if mark.tag == SVG + 'rect':
        groups.setdefault(key[0], []).append(key)
for group, keys in groups.items():
    def ratio(key):
        return rows[key]['ratio_to_floor']['median'] if rows[key]['ratio_to_floor'] else 1
    order = sorted(keys, key=ratio)
    lengths = [float(marks[key].get('width')) for key in order]
    check(all(a <= b + 0.11 for a, b in zip(lengths, lengths[1:])), f'{group}: bars are not as long as their ratios')

# --- charts: each point where the ticks to the left say it is ---

ticks = []
for text in picture.iter(SVG + 'text'):
    match = re.fullmatch(r'(\d+) ([kMG]?B/s|[num]?s)', text.text or '')
    if match and text.get('text-anchor') == 'end':
        ticks.append((float(text.get('y')) - 4, int(match[1]) * UNITS[match[2]], match[2].endswith('/s')))
columns = {}
for key, mark in marks.items():
    if mark.tag != SVG + 'circle':
        continue
    row, y = rows[key], float(mark.get('cy'))
    is_rate = row['unit'] == 'bandwidth'
    value = row['operation_bytes'] * 1e9 / row['median_ns'] if is_rate else row['median_ns']
    above = max((tick for tick in ticks if tick[0] <= y + 0.1 and tick[2] == is_rate), default=None)
    below = min((tick for tick in ticks if tick[0] > y + 0.1 and tick[2] == is_rate), default=None)
    if not above or not below:
        wrong.append(f'{key}: no ticks above and below it')
        continue
    part = (y - above[0]) / (below[0] - above[0])
    read = 10 ** (math.log10(above[1]) + part * (math.log10(below[1]) - math.log10(above[1])))
    # The JSON has whole nanoseconds.
    check(abs(math.log(read / value)) < 0.02 + 0.6 / row['median_ns'],
          f'{key}: drawn as {read:.4g}, measured as {value:.4g}')
    columns.setdefault(row['operation_bytes'], set()).add(mark.get('cx'))
check(all(len(places) == 1 for places in columns.values()), 'one size at several places')
check([float(min(columns[size])) for size in sorted(columns)] ==
      sorted(float(min(places)) for places in columns.values()), 'larger sizes are not further right')

# --- readable on any ground ---

check('prefers-color-scheme:dark' in picture.findtext(SVG + 'style', ''), 'no colours for a dark ground')

print('\n'.join(wrong))
sys.exit(bool(wrong) or not marks)
