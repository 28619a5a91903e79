import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LinearRegression

df = pd.read_csv("/home/user/data.csv")
model = LinearRegression().fit(df[["A", "B"]], df["C"])
print("coefficients:", model.coef_.round(3), "score:", round(model.score(df[["A", "B"]], df["C"]), 4))
df.plot.scatter(x="A", y="C")
plt.savefig("/home/user/plot.png")
