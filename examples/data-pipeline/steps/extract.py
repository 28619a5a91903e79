"""Makes up rows and writes them where the next step takes them from."""

import csv
import os
import random

random.seed(7)
with open("/home/user/rows.csv", "w", newline="") as file:
    writer = csv.writer(file)
    for number in range(int(os.environ["ROWS"])):
        writer.writerow([number, random.choice("abc"), random.randint(1, 100)])
print("rows written:", os.environ["ROWS"])
