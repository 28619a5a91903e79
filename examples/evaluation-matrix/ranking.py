import json
from pathlib import Path

scores = [json.loads(path.read_text()) for path in Path("/home/user/scores").iterdir()]
scores.sort(key=lambda score: (score["size"], score["comparisons"]))
lines = [f"{score['size']:>6} {score['solution']:<10} {score['comparisons']:>8}" for score in scores]
Path("/home/user/ranking.txt").write_text("\n".join(lines) + "\n")
print("\n".join(lines))
