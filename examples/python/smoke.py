"""Ask the running app at $APP_URL what a user would."""

import json
import os
import urllib.request

with urllib.request.urlopen(os.environ["APP_URL"].rstrip("/") + "/convert?value=1&from=mi&to=m") as answer:
    got = json.load(answer)
assert got == {"value": 1609.344}, got
print("a mile has 1609.344 m")
