#!/bin/sh
# quickstart.sh QUICKSTART PAGE PORT SERVICE…: the program prints what the page shows, with this service.
set -eu
quickstart=$1 page=$2 port=$3
shift 3
"$@" "$port" &
service=$!
trap 'kill $service' EXIT
line=$("$quickstart" "http://127.0.0.1:$port/ask")  # waits for the service to come up
grep -qxF -- "$line" "$page" || { echo "$line"; exit 1; }
