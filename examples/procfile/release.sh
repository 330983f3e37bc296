# Runs before each switch: writes the greeting that serve.py shows.
set -eu
echo "Prepared by the release line" >"$SLIPWAY_STORAGE/greeting.txt"
echo "greeting written for revision ${SLIPWAY_REVISION:-unknown}"
