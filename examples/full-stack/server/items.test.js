const { items } = require("./items");

test("items are numbered from one", () => {
  expect(items(3).map((item) => item.label)).toEqual(["Item 1", "Item 2", "Item 3"]);
});
