exports.items = (length) =>
  Array.from({ length }, (_, index) => ({ id: index + 1, value: Math.random() * 100, label: `Item ${index + 1}` }));
