#!/bin/sh
# Records a second from the ALSA card that $1 names and plays it there. Fails where the card does not give or take it.
# The volume is told, and is no verdict: a microphone may be muted, and a dummy card gives silence.
card=plughw:CARD=$1
file=/tmp/second.wav
rate=48000

fail() {
  echo "$1" >&2
  exit 1
}

timeout 20 arecord -q -D "$card" -d 1 -f S16_LE -r $rate -c 1 "$file" || fail "card $1 records nothing"
bytes=$(wc -c <"$file")
# A second of 16-bit samples, and a header.
[ "$bytes" -ge $((rate * 2)) ] || fail "card $1 gave $bytes bytes, which is less than a second"
loudest=$(tail -c +45 "$file" | od -An -v -td2 -w2 | awk '{ if ($1 < 0) $1 = -$1; if ($1 > most) most = $1 } END { print most + 0 }')
echo "card $1 recorded a second: $bytes bytes, loudest sample $loudest of 32768"
[ "$loudest" -gt 0 ] || echo 'all of it is silence: the microphone is muted, or there is none'
timeout 20 aplay -q -D "$card" "$file" || fail "card $1 records, and plays nothing"
echo "card $1 played it"
