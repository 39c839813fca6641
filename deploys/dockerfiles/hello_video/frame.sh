#!/bin/bash
# Passes where ustreamer, at port $1, gives a picture of the camera. Where it has none it gives one that says so, marked as not online
# (ustreamer 5.4, src/ustreamer/http/server.c). bash has the network in it, and so the image needs no client.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /snapshot HTTP/1.0\r\n\r\n' >&3
online=
while IFS= read -r line <&3 && line=${line%$'\r'} && [ -n "$line" ]; do
  [ "$line" != 'X-UStreamer-Online: true' ] || online=1
done
[ -n "$online" ] || { echo 'ustreamer has no picture of the camera: see docker logs'; exit 1; }
[ "$(head -c 3 <&3 | od -An -tx1)" = ' ff d8 ff' ] || { echo 'what ustreamer gave is no JPEG'; exit 1; }
