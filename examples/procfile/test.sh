# Runs the release line and the app, and asks for the page.
set -eu
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"' EXIT
export SLIPWAY_STORAGE="$dir" SLIPWAY_REVISION=0123abc
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT

sh release.sh
python3 serve.py &
pid=$!
python3 - <<'EOF'
import os, time, urllib.error, urllib.request

deadline = time.monotonic() + 10
while True:
    try:
        page = urllib.request.urlopen(f"http://127.0.0.1:{os.environ['PORT']}/").read().decode()
        break
    except urllib.error.URLError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
assert page == "Prepared by the release line\nProcfile app, revision 0123abc\n", page
print("the page is as it should be")
EOF
