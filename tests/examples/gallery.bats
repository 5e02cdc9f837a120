#!/usr/bin/env bats
# The gallery: what is damaged, and who decodes and is taken over, costs its own tile, and nothing stays behind.
# Environment: EXAMPLES_DIR, MODULE_DIR, where programs and modules were built; AYRE, the command; AYRE_ZYGOTE.

bats_require_minimum_version 1.5.0
load ../textbook/support

# What every user can reach: a build need not lie there.
setup_file() {
  : "${EXAMPLES_DIR:?the directory of the examples}" "${MODULE_DIR:?the directory of the modules}"
  : "${AYRE:?the command}" "${AYRE_ZYGOTE:?the helper program}"
  [ -x "$MODULE_DIR/make_picture" ] || return 0
  export place
  place=$(mktemp -d /tmp/ayre-gallery.XXXXXX)
  chmod 755 "$place"
  cp "$EXAMPLES_DIR"/gallery/gallery "$EXAMPLES_DIR"/gallery/*_decode.so "$MODULE_DIR/module_gallery.so" \
    "$MODULE_DIR/make_picture" "$AYRE_ZYGOTE" "$(dirname "$AYRE")"/../libayre.so.0 "$BATS_TEST_DIRNAME/picture.py" \
    "$place"
  # Under the address sanitizer: fontconfig keeps what it read, and nobody can ask it not to.
  echo "leak:libfontconfig" >"$place/suppressions"
  export AYRE_ZYGOTE=$place/ayre-zygote LD_LIBRARY_PATH=$place
  export LSAN_OPTIONS=suppressions=$place/suppressions:print_suppressions=0
}

teardown_file() {
  [ -z "${place:-}" ] || rm -rf "$place"
}

setup() {
  [ -n "${place:-}" ] || skip "cairo, libjpeg or libwebp is not installed"
  # For whoever runs the program; the working directory is its own.
  here=$(mktemp -d "$place/test.XXXXXX")
  mkdir "$here/work" "$here/tmp"
  chmod 777 "$here" "$here/work" "$here/tmp"
  cd "$here/work"
  mkdir pictures
  export TMPDIR=$here/tmp
  pids=()
  user=()
}

teardown() {
  local status=0
  [ -n "${here:-}" ] || return 0
  stop "${pids[@]}"
  # Of a teardown, only the last status counts.
  nothing_stays || status=1
  cd /
  rm -rf "$here"
  return "$status"
}

# Nothing of a run stays: no named pipe, no half of a sheet, no process.
nothing_stays() {
  ls -A "$here/tmp" >left
  find . -maxdepth 1 -name '*.png.*' >>left
  cat left
  [ ! -s left ] && eventually nothing_runs
}

# No zygote of ours, and no worker, which is a copy of one. Tests of other files have other copies of the program.
nothing_runs() {
  [ -z "$(find /proc -mindepth 2 -maxdepth 2 -name exe -lname "$AYRE_ZYGOTE*" 2>/dev/null)" ]
}

gallery() {
  timeout 60 "${user[@]}" "$place/gallery" "$@"
}

# Whoever runs the tests, and, if that is root, somebody who is nobody in particular: sets "user" for `gallery`
for_each_user() {
  "$@"
  [ "$(id -u)" -eq 0 ] || return 0
  user=(setpriv --reuid=54321 --regid=54321 --clear-groups)
  "$@"
  user=()
}

make_picture() {
  "$place/make_picture" "$@"
}

# A picture of each kind, in two halves of a colour each.
make_three() {
  make_picture png 90 60 c02040ff 20c040ff >"$1/one.png"
  make_picture jpeg 640 480 2040c0ff e0e020ff >"$1/two.jpg"
  make_picture webp 300 500 20c0c0ff c020c0ff >"$1/three.webp"
}

# deed WORD...: pictures for the module that was taken over
deed() {
  local word
  for word in "$@"; do printf '%s\n' "$word" >"pictures/$word.evil"; done
}

# told NAME: what the listing of the last run says of a tile; `run` it with -v
told() {
  awk -v name="$1:" '$5 == name { sub(/^.*: /, "&"); $1 = $2 = $3 = $4 = $5 = ""; sub(/^ */, ""); print }' listing
}

# is_told NAME TEXT
is_told() {
  [ "$(told "$1")" = "$2" ] || {
    echo "$1: $(told "$1"), and not: $2"
    return 1
  }
}

# looks_like SHEET DISTANCE NAME LEFT RIGHT...: the colours so many pixels left and right of each tile's centre
looks_like() {
  local sheet=$1 distance=$2 x y width height wanted=()
  shift 2
  while [ $# -gt 0 ]; do
    read -r x y width height _ < <(awk -v name="$1:" '$5 == name' listing)
    x=$((x + width / 2))
    y=$((y + height / 2))
    wanted+=($((x - distance)) "$y" "$2" $((x + distance)) "$y" "$3")
    shift 3
  done
  "$place/picture.py" like "$sheet" "${wanted[@]}"
}

# Those of make_three, and others: NAME LEFT RIGHT...
look_like_three() {
  looks_like sheet.png 3 one.png c02040 20c040 two.jpg 2040c0 e0e020 three.webp 20c0c0 c020c0 "$@"
}

# begin NAME ARGUMENT...: beside the test, with NAME.out and NAME.err, and signals as a terminal's programs have them
begin() {
  "${user[@]}" env --default-signal=INT,TERM,HUP "$place/gallery" "${@:2}" >"$1.out" 2>"$1.err" 3>&- &
  begun=$!
  pids+=("$begun")
}

# ends STATUS: what was begun last
ends() {
  local status=0 attempt
  # A process that has ended has no program.
  for ((attempt = 0; attempt < 400; attempt++)); do
    [ -e "/proc/$begun/exe" ] || break
    sleep 0.1
  done
  [ ! -e "/proc/$begun/exe" ]
  wait "$begun" || status=$?
  pids=()
  [ "$status" -eq "$1" ] || {
    echo "it ended with $status"
    cat ./*.err
    return 1
  }
}

show_three() {
  rm -f sheet.png
  gallery -v -w 64 -o sheet.png pictures >listing 2>log
  cat log
  [ "$(tail -n 1 listing)" = "sheet.png: 3 pictures, 2 other files" ]
  [ "$("$place/picture.py" size sheet.png)" = "400 175" ]
  is_told one.png shown
  look_like_three
}

@test "pictures of three kinds are on the sheet, and look as they are" {
  make_three pictures
  echo "not one" >pictures/notes.txt
  mkdir pictures/more.png
  for_each_user show_three
}

@test "what a file is, its bytes say, and not its name" {
  make_three pictures
  mv pictures/one.png pictures/a.jpg
  mv pictures/two.jpg pictures/b
  mv pictures/three.webp pictures/c.png
  gallery -v -w 64 -o sheet.png pictures >listing
  looks_like sheet.png 10 a.jpg c02040 20c040 b 2040c0 e0e020 c.png 20c0c0 c020c0
}

@test "a photograph is turned as the camera was held" {
  for way in 1 2 3 4 5 6 7 8; do
    make_picture jpeg 400 200 c02040ff 2040c0ff $way >pictures/$way.jpg
  done
  gallery -v -w 64 -o sheet.png pictures >listing
  # Upright, they are 32 wide: beside them is the ground of the tile.
  looks_like sheet.png 20 \
    1.jpg c02040 2040c0 2.jpg 2040c0 c02040 3.jpg 2040c0 c02040 4.jpg c02040 2040c0 \
    5.jpg 2d2f33 2d2f33 6.jpg 2d2f33 2d2f33 7.jpg 2d2f33 2d2f33 8.jpg 2d2f33 2d2f33
  # And of those, which half is above: in the middle, twenty pixels up.
  for way in 5 6 7 8; do
    awk -v name="$way.jpg:" '$5 == name { print $1 + $3 / 2, $2 + $4 / 2 - 20 }' listing
  done >above
  read -r -a above <<<"$(tr '\n' ' ' <above)"
  "$place/picture.py" like sheet.png "${above[@]:0:2}" c02040 "${above[@]:2:2}" c02040 \
    "${above[@]:4:2}" 2040c0 "${above[@]:6:2}" 2040c0
}

@test "what can be seen through stands before squares" {
  make_picture png 64 64 c0204000 20c04080 >pictures/clear.png
  gallery -v -w 64 -o sheet.png pictures >listing
  # Of the middle row: nothing but a square, and the colour before one, by half.
  read -r nothing half < <("$place/picture.py" at sheet.png 32 93 72 93)
  echo "$nothing $half"
  [[ $nothing == cccccc || $nothing == 9e9e9e ]]
  [[ $half == 76c686 || $half == 5faf6f ]]
}

@test "a damaged picture costs its own tile, whatever is wrong with it" {
  make_three pictures
  mkdir broken
  make_picture png 200 150 808080ff 303030ff >broken/grey.png
  make_picture jpeg 200 150 808080ff 303030ff >broken/grey.jpg
  make_picture webp 200 150 808080ff 303030ff >broken/grey.webp
  for kind in png jpg webp; do
    "$place/picture.py" break broken/grey.$kind pictures
    echo "no picture at all" >pictures/text.$kind
  done
  run -1 --separate-stderr gallery -v -w 64 -o sheet.png pictures
  printf '%s\n' "$output" >listing
  # All have a tile: 3 whole, and of each kind 8, 6 and 1.
  [[ ${lines[-1]} == "sheet.png: 48 pictures, "*" failed" ]]
  [ "$(wc -l <listing)" -eq 49 ]
  is_told text.png "not decoded: not a PNG"
  is_told text.jpg "not decoded: not a JPEG"
  is_told text.webp "not decoded: not a WebP"
  is_told cut0.png "not decoded: not a PNG"
  is_told cut40.webp "not decoded: damaged WebP: cut short"
  is_told cut100.jpg "not decoded: damaged JPEG: Premature end of JPEG file"
  [[ $(told flip1.png) == "not decoded: damaged PNG: "* ]]
  look_like_three
}

suffer_hostile() {
  run -1 --separate-stderr gallery -v -w 64 -j 3 --timeout 1.5 --module evil="$place/module_gallery.so" \
    -o sheet.png pictures
  printf '%s\n' "$output" >listing
  is_told crash.evil "killed by SIGSEGV: at address 0x10"
  is_told hang.evil "deadline passed: after 1.5 s it was asleep"
  is_told loop.evil "deadline passed: after 1.5 s it was still computing"
  is_told eat.evil "out of memory: 768 MiB are what a picture has"
  is_told stack.evil "out of stack"
  is_told passwd.evil "not decoded: /etc/passwd: Permission denied"
  is_told socket.evil "forbidden call socket"
  is_told exit.evil "exited with status 0: instead of an answer"
  for lie in wide strip around more less none short; do
    is_told lie-$lie.evil "answer makes no sense: that is no tile"
  done
  is_told silent.evil "not decoded: the module answers 42"
  is_told whole.evil shown
  look_like_three whole.evil 10e020 10e020
  # Each failure is told once, and nobody's terminal is sent anything but text.
  [ "$(grep -c '^gallery: [a-z-]*\.evil: ' <<<"$stderr")" -eq 17 ]
  [[ "$output$stderr" != *$'\033'* ]]
}

@test "a module that was taken over costs the tiles that it makes, and each says what happened" {
  make_three pictures
  deed crash hang loop eat stack passwd socket exit lie-wide lie-strip lie-around lie-more lie-less lie-none lie-short silent rude whole
  for_each_user suffer_hostile
}

@test "of pictures that are the same, two end a process, and the rest are refused" {
  deed crash
  for copy in a b c; do cp pictures/crash.evil "pictures/crash-$copy.evil"; done
  run -1 gallery -v -w 64 -j 1 --module evil="$place/module_gallery.so" -o sheet.png pictures
  [ "$(grep -c '^[0-9 ]*crash.*: killed by SIGSEGV' <<<"$output")" -eq 2 ]
  [ "$(grep -c '^[0-9 ]*crash.*: refused: ' <<<"$output")" -eq 2 ]
}

@test "a module that cannot be had costs its kind of pictures" {
  make_three pictures
  run -1 --separate-stderr gallery -v -w 64 --module png=/nowhere/png.so -o sheet.png pictures
  printf '%s\n' "$output" >listing
  [[ $(told one.png) == "no decoder: /nowhere/png.so: "* ]]
  is_told two.jpg shown
  is_told three.webp shown
  # One whose constructor is bad, and one that has no such function.
  run -1 gallery -v -w 64 --module png="$MODULE_DIR/module_crash.so" --module webp="$MODULE_DIR/module_functions.so" \
    -o sheet.png pictures
  printf '%s\n' "$output" >listing
  [[ $(told one.png) == "no decoder: "*"SIGSEGV"* ]]
  is_told three.webp "no decoder: the module has no function decode"
  is_told two.jpg shown
}

@test "names: in people's order, of any bytes, and never a command to a terminal" {
  make_picture png 8 8 c02040ff 20c040ff >pictures/img10.png
  cp pictures/img10.png pictures/img9.png
  cp pictures/img10.png "pictures/$(printf 'zz\377\033[2Jname').png"
  cp pictures/img10.png "pictures/$(printf 'zzz%.0s' $(seq 80)).png"
  cp pictures/img10.png pictures/.hidden.png
  gallery -v -w 64 -o sheet.png pictures >listing 2>log
  [ "$(awk '{ print $5 }' listing | head -n 2 | tr '\n' ' ')" = "img9.png: img10.png: " ]
  ! grep -q $'\033' listing log
  grep -qF "zz"$'\xef\xbf\xbd'$'\xef\xbf\xbd'"[2Jname.png: shown" listing
  [ "$(tail -n 1 listing)" = "sheet.png: 4 pictures, 1 other file" ]
}

@test "a sheet in the folder of its pictures is not one of them" {
  make_picture png 8 8 c02040ff 20c040ff >pictures/one.png
  gallery -o pictures/sheet.png pictures
  gallery -o pictures/sheet.png pictures >printed
  [ "$(cat printed)" = "pictures/sheet.png: 1 picture" ]
  gallery -o sheet.png pictures >printed
  [ "$(cat printed)" = "sheet.png: 2 pictures" ]
}

@test "what is no file is not opened: whoever writes a named pipe goes on to wait" {
  make_picture png 8 8 c02040ff 20c040ff >pictures/one.png
  mkfifo pictures/pipe.png
  ln -s /dev/zero pictures/device.png
  (exec 3>pictures/pipe.png && touch woken) &
  pids+=($!)
  run -0 gallery -o sheet.png pictures
  [ "$output" = "sheet.png: 1 picture, 2 other files" ]
  [ ! -e woken ]
}

@test "what is wrong with the command line, or with where things are, is said" {
  mkdir empty
  run -2 gallery
  run -2 gallery one two
  run -2 gallery -w 63 pictures
  run -2 gallery -j 0 pictures
  run -2 gallery -j 2x pictures
  run -2 gallery --timeout 0 pictures
  run -2 gallery --module png pictures
  run -2 gallery --module ../x=y pictures
  run -0 gallery --help
  [[ $output == usage:* ]]
  run -1 gallery missing
  [ "$output" = "gallery: missing: No such file or directory" ]
  run -1 gallery empty
  [ "$output" = "gallery: empty: no pictures there" ]
  make_picture png 8 8 c02040ff 20c040ff >pictures/one.png
  # All of that before anything is decoded.
  echo damaged >pictures/two.png
  run -1 gallery -o nowhere/sheet.png pictures
  [ "$output" = "gallery: nowhere/sheet.png: No such file or directory" ]
  mkdir sheet.png
  run -1 gallery -o sheet.png pictures
  [ "$output" = "gallery: sheet.png: Is a directory" ]
  mkfifo pipe.png
  run -1 gallery -o pipe.png pictures
  [ "$output" = "gallery: pipe.png: File exists" ]
  [ -p pipe.png ]
}

# --- control ---

is_pipe() {
  [ -p "$1" ]
}

has_line() {
  grep -qxF "$2" "$1"
}

@test "control: a person skips a picture, also one that is being decoded" {
  deed hang whole
  cp pictures/whole.evil pictures/x.evil
  begin run -v -w 64 -j 1 --timeout 600 --control control --module evil="$place/module_gallery.so" -o sheet.png pictures
  eventually is_pipe control/evil
  [ "$(stat -c %a control)" = 700 ]
  echo "skip whole.evil" >control/evil
  printf 'skip nobody.evil\nfly\nskip hang.evil' >control/evil
  ends 0
  mv run.out listing
  is_told whole.evil "skipped: somebody asked for it"
  is_told hang.evil "skipped: somebody asked for it"
  # The process was ended with it: there is one for the next.
  is_told x.evil shown
  has_line run.err "gallery: evil: no such picture: nobody.evil"
  has_line run.err "gallery: evil: not understood: fly"
  [ ! -e control ]
}

@test "control: pause, status, resume, by the command as well" {
  deed hang whole
  make_three pictures
  begin run -v -w 64 -j 1 --timeout 60 --control control --module evil="$place/module_gallery.so" -o sheet.png pictures
  eventually is_pipe control/evil
  [ -p control/png ] && [ -p control/jpeg ] && [ -p control/webp ]
  printf 'pause\nskip hang.evil\nstatus\n' | "$AYRE" fifo write control/evil
  eventually has_line run.err "gallery: evil: 1 of 2 done, 0 failed, 0 under way, paused"
  # The others go on.
  png_is_done() {
    echo status >control/png
    has_line run.err "gallery: png: 1 of 1 done, 0 failed, 0 under way"
  }
  eventually png_is_done
  still_waits() {
    [ "$(grep -cxF "gallery: evil: 1 of 2 done, 0 failed, 0 under way, paused" run.err)" -eq 2 ]
  }
  echo status >control/evil
  eventually still_waits
  echo resume >control/evil
  ends 0
  mv run.out listing
  is_told whole.evil shown
  is_told two.jpg shown
  is_told three.webp shown
}

@test "control: one worker is stopped, and the others are not" {
  deed hang
  for copy in 1 2 3 4; do cp pictures/hang.evil pictures/hang$copy.evil; done
  make_three pictures
  begin run -v -w 64 -j 1 --timeout 60 --control control --module evil="$place/module_gallery.so" -o sheet.png pictures
  eventually is_pipe control/evil
  echo stop >control/evil
  ends 0
  mv run.out listing
  [ "$(grep -c '^[0-9 ]*hang[1-4]*.evil: stopped: before it could be decoded$' listing)" -eq 5 ]
  look_like_three
  [ "$(tail -n 1 listing)" = "sheet.png: 8 pictures, 5 skipped" ]
}

@test "control: a name that is taken is left alone" {
  make_three pictures
  mkdir control
  mkfifo control/jpeg
  run -1 gallery --control control -o sheet.png pictures
  [[ $output == "gallery: control/jpeg: File exists"* ]]
  [ -p control/jpeg ]
  [ "$(ls control)" = jpeg ]
  [ ! -e sheet.png ]
}

@test "control: the pipes that nobody asked for are somewhere else, and said" {
  deed hang
  begin run -v -j 1 --timeout 60 --module evil="$place/module_gallery.so" -o sheet.png pictures
  is_said() { grep -q "^gallery: control evil: $here/tmp/gallery\.[^/]*/evil$" run.err; }
  eventually is_said
  echo "skip hang.evil" >"$(sed -n 's/^gallery: control evil: //p' run.err)"
  ends 0
}

# --- the end ---

@test "a signal ends it as signals do, and leaves what was there before" {
  deed hang
  make_three pictures
  for signal in INT TERM HUP; do
    echo before >sheet.png
    begin run -j 2 --timeout 60 --control control --module evil="$place/module_gallery.so" -o sheet.png pictures
    eventually is_pipe control/evil
    kill -$signal "$begun"
    ends $((128 + $(kill -l $signal)))
    [ ! -s run.out ]
    [ "$(cat sheet.png)" = before ]
    [ ! -e control ]
    [ "$(ls -A "$here/tmp" | wc -l)" -eq 0 ]
  done
}

@test "its processes end with it, however it ends" {
  deed hang loop
  begin run -v -j 2 --timeout 60 --control control --module evil="$place/module_gallery.so" -o sheet.png pictures
  eventually is_pipe control/evil
  kill -KILL "$begun"
  ends 137
  eventually nothing_runs
  [ ! -e sheet.png ]
}

@test "a terminal is told how far it is, and nobody else" {
  make_three pictures
  script -qec "$place/gallery -w 64 -o sheet.png pictures" /dev/null </dev/null >terminal
  grep -q $'\033\\[K3 of 3 pictures, 0 failed, 0 under way' terminal
  gallery -w 64 -o sheet.png pictures 2>log
  [ ! -s log ]
}
