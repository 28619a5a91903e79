# Stands behind a solution: counts how often it compares, and refuses what is not sorted.
import json
import os
import random

size = int(os.environ["SIZE"])
numbers = random.Random(size).sample(range(10 * size), size)
comparisons = 0


def compare(one, other):
    global comparisons
    comparisons += 1
    return one < other


assert sort(numbers, compare) == sorted(numbers), f"{NAME} does not sort"  # noqa: F821
with open("/home/user/score.json", "w") as score:
    json.dump({"solution": NAME, "size": size, "comparisons": comparisons}, score)  # noqa: F821
print(f"{comparisons} comparisons for {size} numbers")
