#!/bin/bash
# Records six works on Debian's applications at 1920x1080, and cuts the small pieces that CI replays.
#
#   benches/recordings/record.sh OUT_DIR [TELEPANE_BENCH]
#
# Needs: xvfb openbox xterm vim gnumeric netsurf-gtk geany xdotool x11-xserver-utils fonts-dejavu python3.
# Two runs are alike but not the same: applications draw when they like.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
bench=${2:-$here/../../target/release/telepane-bench}
work=$(mktemp -d)
export HOME=$work XDG_CONFIG_HOME=$work/config LC_ALL=C.UTF-8
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
python3 "$here/page.py" "$work"

mkfifo "$work/number"
Xvfb -displayfd 3 -screen 0 1920x1080x24 -nolisten tcp -noreset 3<>"$work/number" 2>/dev/null &
pids+=($!)
read -r -t 20 number <"$work/number"
export DISPLAY=:$number
openbox >/dev/null 2>&1 &
pids+=($!)
xsetroot -solid '#305070'

app= # the process of the application that is being recorded
start() { "$@" >/dev/null 2>&1 & app=$!; pids+=("$app"); sleep 6; }
stop() { kill "$app" 2>/dev/null || true; wait "$app" 2>/dev/null || true; sleep 0.5; }
# record NAME SECONDS: in the background, until its seconds are over.
record() { "$bench" record --display "$DISPLAY" --out "$out/$1.seq" --seconds "$2" --fps 30 & recorder=$!; sleep 0.5; }
keys() { for key in "$@"; do xdotool key "$key"; sleep 0.12; done; }
many() { local n=$1; shift; for ((i = 0; i < n; i++)); do keys "$@"; done; }

dark=(-bg '#1e1e1e' -fg '#d4d4d4' -fa 'DejaVu Sans Mono' -fs 11 -geometry 220x58+20+10)
start xterm "${dark[@]}" -e vim -n -u NONE -c 'syntax on|set bg=dark number' "$work/text.c"
record editor_dark 9
many 6 ctrl+d; many 14 j; keys o; xdotool type --delay 70 'int x = step_1(s, 4);'; keys Escape; many 4 ctrl+b
wait "$recorder"; stop

printf 'Xft.rgba: rgb\nXft.antialias: 1\nXft.hinting: 1\nXft.hintstyle: hintslight\nXft.lcdfilter: lcddefault\n' | xrdb -merge
start xterm -bg white -fg black -fa 'DejaVu Sans Mono' -fs 12 -geometry 200x52+40+20 -e vim -n -u NONE -c 'syntax on|set bg=light' "$work/text.c"
record subpixel 8
many 5 ctrl+e ctrl+e ctrl+d; keys o; xdotool type --delay 70 'sub-pixel text, typed'; keys Escape; many 3 ctrl+u
wait "$recorder"; stop
xrdb -remove

start gnumeric --geometry=1700x950+60+40 "$work/sheet.csv"
sleep 4
record sheet 9
many 10 Down; many 12 Right; many 5 Next; xdotool type --delay 80 '=A1*B2'; keys Return; many 4 Prior
wait "$recorder"; stop

start netsurf-gtk "file://$work/news.html"
xdotool search --onlyvisible --class netsurf windowsize %@ 1700 980 windowmove %@ 100 30 || true
sleep 3
record news 9
xdotool mousemove 900 600
for ((i = 0; i < 40; i++)); do xdotool click 5; sleep 0.12; done
many 3 Next; many 2 Prior
wait "$recorder"; stop

# Three windows, raised in turn; then one of them is dragged.
xterm "${dark[@]}" -T one -e vim -n -u NONE -c 'syntax on|set bg=dark' "$work/text.c" & pids+=($!); one=$!
xterm -fa 'DejaVu Sans Mono' -fs 10 -geometry 150x50+500+120 -T two -e vim -n -u NONE "$work/sheet.csv" & pids+=($!); two=$!
start geany -i "$work/text.c"
sleep 2
record switch 9
for ((i = 0; i < 5; i++)); do
    for name in one two geany; do xdotool search --onlyvisible --name "$name" windowraise %@ 2>/dev/null || true; sleep 0.5; done
done
wait "$recorder"
xdotool search --onlyvisible --name two windowraise %@ || true
record drag 6
for ((i = 0; i < 60; i++)); do xdotool search --onlyvisible --name two windowmove $((500 + i * 7)) $((120 + i * 3)); sleep 0.06; done
wait "$recorder"
kill "$one" "$two" 2>/dev/null || true
stop

# What CI replays: small pieces, few frames; of photographs still less.
cut() { "$bench" record --from "$out/$1.seq" --out "$out/$1-crop.seq" --crop "$2" --skip 8 --frames "$3"; }
for name in editor_dark subpixel sheet switch drag; do cut "$name" 560,150,640,360 14; done
cut news 400,300,480,270 5
