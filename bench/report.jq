# Of one run's figures, docs/measured/figures.json, the tables of the documents. bench/report runs it.
# In: that document. $part: which table.

# --- numbers as people read them ---

def fixed(digits): (. * pow(10; digits) | round) / pow(10; digits) | tostring;
# Three digits that count.
def short: if . >= 100 then fixed(0) elif . >= 10 then fixed(1) elif . >= 0.1 then fixed(2) else fixed(3) end;
def time: if . < 1e3 then "\(short) ns" elif . < 1e6 then "\(. / 1e3 | short) us"
  elif . < 1e9 then "\(. / 1e6 | short) ms" else "\(. / 1e9 | short) s" end;
# Of bytes a nanosecond.
def bandwidth: if . >= 1 then "\(short) GB/s" else "\(. * 1e3 | short) MB/s" end;
def size: if . >= 1073741824 then "\(. / 1073741824 | fixed(0)) GiB" elif . >= 1048576 then "\(. / 1048576 | fixed(0)) MiB"
  elif . >= 1024 then "\(. / 1024 | fixed(1)) KiB" else "\(.) bytes" end;
def spread: "\(.median | short) [\(.q1 | short) - \(.q3 | short)]";
def row: "| " + join(" | ") + " |";

# --- where a figure is ---

def rows_of(bench; group): [.benchmarks[] | select(.name == bench) | (.floors + .rows)[] | select(.group == group)];
def row_of(bench; group; name): rows_of(bench; group) |
  if name == "best" then map(select(.side == "ayre" or .side == "mapped")) | min_by(.median_ns) // null
  else map(select(.name == name)) | first end;
def figure: .median_ns // .median_bytes;
def as_text: if .unit == "dirtied" or .unit == "bytes" then figure | size
  elif .unit == "bandwidth" then .operation_bytes / figure | bandwidth
  elif .unit == "rate" then (if figure >= 1000 then "\(1e6 / figure | short) thousand/s" else "\(1e3 / figure | short) million/s" end)
  else figure | time end;

# --- the goals ---

# Each: what it is, where it stands, what it is beside, at most how many times that (or, absolute, how much).
def floor_goal(what; bench; group; name; beside; goal): {what: what, bench: bench, group: group, name: name,
  kind: "ratio_to_floor", beside: beside, goal: goal};
def peer_goal(what; bench; group; name; beside; goal): {what: what, bench: bench, group: group, name: name,
  kind: "ours_to_this", beside: beside, goal: goal};
def absolute_goal(what; bench; group; name; goal): {what: what, bench: bench, group: group, name: name,
  kind: "absolute", beside: "", goal: goal};
def library_goal(what; case; peer; goal): {what: what, case: case, peer: peer, kind: "library", beside: peer, goal: goal};

def goals: [
  (floor_goal("48 bytes there and back, spinning"; "topic"; "round_trip_48"; "copied"; "a bare cache line"; 1.1) + {readme: true}),
  floor_goal("the slowest of a thousand such"; "topic"; "round_trip_48_tail"; "copied_999"; "the median line"; 5),
  floor_goal("256 bytes there and back"; "topic"; "round_trip_256"; "copied"; "a bare cache line"; 1.5),
  (floor_goal("48 bytes one way, one by one"; "topic"; "stream_48"; "best"; "a minimal ring at its best depth"; 2) + {readme: true}),
  (floor_goal("1 KiB copied in, read in place"; "topic"; "stream_1k"; "best"; "a minimal ring at its best depth"; 1) + {readme: true}),
  floor_goal("64 KiB likewise"; "topic"; "stream_64k"; "best"; "a minimal ring at its best depth"; 1),
  (floor_goal("1 MiB likewise"; "topic"; "memcpy_1m"; "best"; "memcpy of as much"; 1.11) + {readme: true}),
  (floor_goal("asleep, there and back, two processors"; "topic"; "asleep_across"; "ayre"; "the best of futex, pipe, eventfd"; 1.15) + {readme: true}),
  floor_goal("asleep, one processor"; "topic"; "asleep_same_processor"; "ayre"; "the best of futex, pipe, eventfd"; 1.15),
  (floor_goal("1 KiB to four reliable subscribers"; "topic"; "fan_1k_4"; "best"; "a minimal broadcast ring"; 1.25) + {readme: true}),
  floor_goal("1 KiB to sixteen"; "topic"; "fan_1k_16"; "best"; "a minimal broadcast ring"; 1.25),
  absolute_goal("a topic made, both ends open, first message there"; "topic"; "open"; "ayre"; 2e5),
  (library_goal("48 bytes there and back"; "round/48"; "iceoryx"; 0.15) + {readme: true}),
  library_goal("48 bytes there and back"; "round/48"; "boost"; 0.3),
  (library_goal("48 bytes one way"; "stream/48"; "iceoryx"; 0.1) + {readme: true}),
  (library_goal("48 bytes one way"; "stream/48"; "zmq"; 0.1) + {readme: true}),
  (library_goal("48 bytes one way"; "stream/48"; "nng"; 0.1) + {readme: true}),
  (library_goal("48 bytes one way"; "stream/48"; "boost"; 0.1) + {readme: true}),
  library_goal("1 KiB to four subscribers"; "fan/4"; "iceoryx"; 0.2),
  (peer_goal("four programs joined and run"; "pipe"; "start_4"; "bash"; "bash"; 0.55) + {readme: true}),
  peer_goal("the same"; "pipe"; "start_4"; "dash"; "dash"; 0.7),
  (peer_goal("the same from a host with gigabytes resident"; "pipe"; "start_4_large_host"; "fork"; "fork, dup2 and exec"; 0.02) + {readme: true}),
  peer_goal("cat, cat, wc over the page cache"; "pipe"; "copy_3"; "bash"; "bash"; 0.4),
  floor_goal("the same with the meter at 10 Hz"; "pipe"; "meter"; "metered"; "without"; 1.02),
  peer_goal("one output to four programs"; "pipe"; "fan_4"; "bash"; "bash and tee"; 0.5),
  (peer_goal("1 GiB fed and captured at once"; "pipe"; "feed_capture"; "python"; "Python's communicate"; 0.5) + {readme: true}),
  (floor_goal("100 bytes, each safe before the next"; "log"; "safe_single"; "ayre"; "pwrite and fdatasync"; 1.053) + {readme: true}),
  (peer_goal("the same"; "log"; "safe_single"; "sqlite"; "SQLite, WAL, synchronous FULL"; 0.833) + {readme: true}),
  (peer_goal("the same"; "log"; "safe_single"; "lmdb"; "LMDB"; 0.5) + {readme: true}),
  floor_goal("32 wait at once, for each"; "log"; "safe_32"; "ayre"; "one alone"; 0.0833),
  floor_goal("128 wait at once, for each"; "log"; "safe_128"; "ayre"; "one alone"; 0.0357),
  floor_goal("a thousand to a flush"; "log"; "batched_1000"; "best"; "O_DIRECT"; 1.43),
  (peer_goal("a thousand to a flush"; "log"; "batched_1000"; "lmdb"; "LMDB"; 0.1) + {readme: true}),
  (peer_goal("a thousand to a flush"; "log"; "batched_1000"; "sqlite"; "SQLite"; 0.0833) + {readme: true}),
  floor_goal("not flushed"; "log"; "unsynced"; "ayre"; "a topic in memory"; 1.2),
  peer_goal("not flushed"; "log"; "unsynced"; "write"; "a write each"; 0.1),
  absolute_goal("to the device for 100 bytes that are safe"; "log"; "device_bytes"; "ayre"; 4301),
  peer_goal("replay from the page cache"; "log"; "replay"; "read_1m"; "read by 1 MiB"; 0.667),
  peer_goal("replay from the page cache"; "log"; "replay"; "lmdb"; "LMDB's cursor"; 0.4),
  floor_goal("the same, with its check"; "log"; "replay_checked"; "ayre"; "XXH3 of each"; 1.11),
  absolute_goal("to one message of a log, the subscriber opened for it"; "log"; "seek"; "ayre"; 1e5),
  (peer_goal("a fresh process in a jail, to its first answer"; "worker"; "fresh"; "bwrap"; "bwrap --unshare-all"; 0.0833) + {readme: true}),
  peer_goal("the same"; "worker"; "fresh"; "posix_spawn"; "posix_spawn of an empty program, no jail"; 0.333),
  floor_goal("the same from a host with much resident"; "worker"; "fresh_large_host"; "ayre"; "a small host"; 1.15),
  peer_goal("a call of 64 bytes, kept worker, spinning"; "worker"; "call_64"; "plain"; "the same without a jail"; 1.05),
  (peer_goal("the same"; "worker"; "call_64"; "socket"; "a Unix socket"; 0.02) + {readme: true}),
  floor_goal("a PNG of 16 x 16, kept worker"; "worker"; "png_16"; "ayre"; "in this process"; 1.1),
  floor_goal("64 x 64"; "worker"; "png_64"; "ayre"; "in this process"; 1.05),
  (floor_goal("a PNG of 256 x 256, kept worker"; "worker"; "png_256"; "ayre"; "the decoder in this process"; 1.02) + {readme: true}),
  absolute_goal("from a crash to its call's return"; "worker"; "crash"; "ayre"; 5e4),
  absolute_goal("from a crash to the next answer"; "worker"; "serving_again"; "ayre"; 5e5)
];

# The measured row, and its ratio; null: it was left out.
def measured($goal):
  if $goal.kind == "library" then
    [.peers[] | select(.case == $goal.case and .peer == $goal.peer and .left_out == null)] | first //null |
      if . then {ratio: .ours_to_this, text: "\(.ayre_ns.median | time), \(.peer_ns.median | time)"} else null end
  else
    row_of($goal.bench; $goal.group; $goal.name) as $row |
    if $row == null then null
    elif $goal.kind == "absolute" then {ratio: {median: ($row | figure), q1: ($row.q1_ns // $row.q1_bytes),
      q3: ($row.q3_ns // $row.q3_bytes)}, text: ($row | as_text), row: $row}
    elif $row[$goal.kind] == null then null
    else {ratio: $row[$goal.kind], text: ($row | as_text)} end
  end;

def verdict($goal): if .ratio.q3 <= $goal.goal then "met" elif .ratio.q1 > $goal.goal then "missed" else "at the edge" end;

def peer_name: {iceoryx: "iceoryx", zmq: "ZeroMQ", nng: "nng", boost: "Boost.Interprocess"}[.] // .;

def amount($goal): if $goal.group == "device_bytes" then size else time end;

def goal_row($goal):
  measured($goal) as $is |
  [$goal.what, ($goal.beside | peer_name)] +
  if $is == null then ["left out", "", "", ""]
  elif $goal.kind == "absolute" then
    ["\($is.ratio.median | amount($goal)) [\($is.ratio.q1 | amount($goal)) - \($is.ratio.q3 | amount($goal))]", "",
      "\($goal.goal | amount($goal))", ($is | verdict($goal))]
  else [($is.ratio | spread), $is.text, ($goal.goal | short), ($is | verdict($goal))] end;

def goal_table: . as $document | (["what", "beside", "takes, of that", "that is", "goal", "met?"], ["---", "---", "---", "---", "---", "---"],
  (goals[] as $goal | $document | goal_row($goal))) | row;

# --- the comparison of the mechanisms ---

def mechanisms: [["memory", "shared memory, bare"], ["file", "mapped file, bare"], ["pipe", "pipe"],
  ["socket", "Unix stream socket"], ["ayre", "**ayre: a topic**"]];
def sizes: ["64", "1k", "16k", "64k", "1m"];

def size_table(kind; floor; floor_label): . as $document |
  (["", "64 bytes", "1 KiB", "16 KiB", "64 KiB", "1 MiB"], ["---", "---", "---", "---", "---", "---"],
   (([[floor, "*floor: \(floor_label)*"]] + mechanisms)[] as $m |
     [$m[1]] + [sizes[] as $size | $document | row_of("size"; "\(kind)_\($size)"; $m[0]) |
       if . == null then "left out" else as_text end])) | row;

# --- files ---

def file_work: [["sequential_read", "read from end to end"], ["sequential_write", "written from end to end"],
  ["random_read_4k", "4 KiB, anywhere"], ["random_read_64", "64 bytes, anywhere"],
  ["small_file_4k", "a file of 4 KiB: opened, read, closed"], ["small_file_64k", "one of 64 KiB"],
  ["first_touch", "each page for the first time, from memory"], ["append", "appended, 100 bytes each"],
  ["durable", "a record, safe on the disk"]];

def best(group; side): .benchmarks[] | select(.name == "file") | [.rows[] |
  select(.group == group and .side == side and .median_ns)] | min_by(.median_ns);

def file_table: . as $document | (["the work", "calls, the best of them", "a map, the best of them", "calls, of the map"],
  ["---", "---", "---", "---"],
  (file_work[] as $work | ($document | best($work[0]; "calls")) as $calls | ($document | best($work[0]; "mapped")) as $map |
    if $calls == null or $map == null then [$work[1], "left out", "", ""]
    else [$work[1], "\($calls | as_text) (\($calls.label))", "\($map | as_text) (\($map.label))",
      ($calls.median_ns / $map.median_ns | short)] end)) | row;

# --- what was run ---

def machine: "\(.machine.cpu_count) processors (\(.machine.architecture)), \(.machine.memory_bytes | size) of memory, Linux \(.machine.kernel), files on \(.machine.file_system)";
def rounds: ([.benchmarks[] | "`\(.name)` \(.rounds)\(if .quick then ", quick" else "" end)"] | join("; "))
  + (if any(.benchmarks[]; .quick) then " (quick: smaller files, shorter samples)" else "" end);
def left_out: [.benchmarks[] as $b | $b.left_out[] | "`\($b.name)/\(.group)`\(if .name then ", \(.name)" else "" end): \(.why)"]
  + [.peers[] | select(.left_out) | "\(.peer | peer_name)\(if .case then ", \(.case)" else "" end): \(.left_out)"]
  | if length == 0 then "Nothing." else map("- \(.)") | join("\n") end;
def count(what): . as $document | [goals[] as $goal | $document | measured($goal) | select(.) | verdict($goal)] | map(select(. == what)) | length;

if $part == "goals" then goal_table
elif $part == "counts" then "Of the goals, \(count("met")) are met with both quartiles, \(count("at the edge")) are at the edge, \(count("missed")) are missed."
elif $part == "readme" then
  "\(machine); \(.made). Rounds: \(rounds). Medians, quartiles in brackets; below 1, ayre takes less.", "",
  (. as $document | (["what", "beside", "ayre takes, of that", "goal"], ["---", "---", "---", "---"],
    (goals[] | select(.readme) | . as $goal | $document | goal_row($goal) | [.[0], .[1], .[2], .[4]])) | row)
elif $part == "machine" then "\(machine); \(.made).", "", "Rounds: \(rounds)."
elif $part == "latency" then size_table("latency"; "line"; "a cache line and a memcpy each way")
elif $part == "asleep" then size_table("asleep"; "semaphore"; "a semaphore each way, no bytes")
elif $part == "throughput" then size_table("throughput"; "memcpy"; "memcpy, one process alone")
elif $part == "files" then file_table
elif $part == "left_out" then left_out
else error("no part \($part)") end
