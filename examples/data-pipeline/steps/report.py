"""Adds the workers' sums up."""

import json
from collections import Counter

total: Counter[str] = Counter()
for name in ("first", "second"):
    with open(f"/home/user/{name}.json") as file:
        total.update(json.load(file))
with open("/home/user/report.json", "w") as file:
    json.dump(total, file, sort_keys=True)
print("totals:", dict(total))
