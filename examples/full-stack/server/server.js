const express = require("express");
const { items } = require("./items");

const app = express();

app.get("/api/health", (request, response) => {
  response.json({ status: "healthy", timestamp: new Date().toISOString(), uptime: process.uptime() });
});

app.get("/api/data", (request, response) => {
  response.json(items(10));
});

const port = process.env.PORT || 3000;
app.listen(port, () => console.log(`Server running on port ${port}`));
