"use strict";
// All texts come in as data and go out as text nodes: nothing that a user named is ever read as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const nodes = new Map(data.nodes.map((node) => [node.id, node]));
const canvas = document.getElementById("canvas");
const svg = canvas.querySelector("svg");
const panel = document.getElementById("panel");
const search = document.getElementById("search");

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "click") made.addEventListener("click", value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function entry(sign, text, open, tone = "", note = "") {
  return element("li", {}, element("button", { type: "button", click: open },
    element("span", { class: `sign ${tone}` }, sign), text,
    ...(note ? [" ", element("span", { class: "muted" }, note)] : [])));
}

function section(heading, items) {
  return items.length ? [element("h3", {}, heading), element("ul", {}, ...items)] : [];
}

// ---- the panel

const MANY = 3;
const READABLE = 1.2; // units of the drawing in a pixel

function entryOf(node, index, note = "") {
  const member = node.members[index];
  const [change] = member.changes;
  return entry(change?.symbol ?? "", member.address, () => go(node, index), change?.action, note);
}

function flat(fits) {
  const items = data.nodes.flatMap((node) => node.members.map((member, index) => [node, member, index]))
    .filter(([node, member]) => fits(node, member)).map(([node, , index]) => entryOf(node, index));
  return items.length ? [element("ul", {}, ...items)] : [];
}

// What changes, by what happens to it; many instances of one block as one.
function byAction() {
  const groups = new Map(data.actions.map((action) => [action, { count: 0, items: [] }]));
  for (const node of data.nodes) {
    for (const [action, group] of groups) {
      const indices = [...node.members.keys()].filter((index) => node.members[index].changes[0]?.action === action);
      group.count += indices.length;
      if (indices.length >= MANY) {
        const { symbol, cause } = node.members[indices[0]].changes[0];
        const all = indices.length === node.members.length;
        const count = all ? `× ${indices.length}` : `${indices.length} of ${node.members.length}`;
        group.items.push(entry(symbol, `${node.address} ${count}`, () => go(node, null), action, cause));
      } else {
        group.items.push(...indices.map((index) => entryOf(node, index, node.members[index].changes[0].cause)));
      }
    }
  }
  return [...groups].filter(([, group]) => group.count).flatMap(([action, group]) =>
    section(`${action} ${group.count}`, group.items));
}

function noteOf(item) {
  return element("p", { class: `note ${item.severity}` }, element("b", {}, `${item.severity}[${item.code}]: `), item.summary,
    ...(item.place ? [element("br"), element("span", { class: "place muted" }, item.place)] : []));
}

function notes(heading, fits) {
  const fitting = data.diagnostics.filter(fits).map(noteOf);
  return fitting.length ? [element("h3", {}, heading), ...fitting] : [];
}

function opens() {
  const items = data.opens.map((item) => element("li", {}, element("b", { class: "opens" }, item.opens), " ",
    element("code", {}, item.named), `: ${item.detail}`));
  return items.length ? [element("h3", {}, "Opens"), element("ul", { class: "plain" }, ...items)] : [];
}

function cost() {
  if (!data.cost) return [];
  const row = (name, cells) => element("tr", {}, ...cells.map((cell) => element(name, {}, cell)));
  return [element("h3", {}, data.cost.title),
    element("table", {}, row("th", ["", "now", "after", "change"]), ...data.cost.rows.map((cells) => row("td", cells))),
    ...(data.cost.note ? [element("p", { class: "muted" }, data.cost.note)] : [])];
}

// What keeps a plan from being applied comes first, and what comes of it before its many changes.
function overview(found) {
  if (found) {
    const items = flat(found);
    panel.replaceChildren(element("h2", {}, "Found"),
      ...(items.length ? items : [element("p", { class: "muted" }, "Nothing is called that.")]));
    return;
  }
  const lists = data.planned ? byAction() : flat(() => true);
  panel.replaceChildren(...notes("Denied", (item) => item.severity === "error"), ...opens(), ...cost(),
    element("h2", {}, data.planned ? "Changes" : "Resources"),
    ...(lists.length ? lists : [element("p", { class: "muted" }, "Nothing changes.")]),
    ...notes("Worth knowing", (item) => item.severity !== "error"));
}

function fieldOf(field) {
  const lines = field.lines.map(([sign, text]) => element("span",
    { class: sign === "+" ? "plus" : sign === "-" ? "minus" : "same" }, `${sign} ${text}`));
  return element("div", { class: "field" }, element("b", {}, field.path),
    ...(field.remark ? [" ", element("span", { class: "muted" }, `(${field.remark})`)] : []),
    element("pre", {}, ...lines));
}

function changeOf(change) {
  return element("div", { class: "change" },
    element("p", {}, element("span", { class: `sign ${change.action}` }, change.symbol), element("b", {}, change.action),
      `: ${change.cause}`),
    ...(change.data_loss ? [element("p", { class: "loss" }, "deletes data that nothing else holds")] : []),
    ...change.fields.map(fieldOf));
}

function memberOf(member) {
  return [element("h2", {}, member.address),
    ...(member.place ? [element("p", { class: "place muted" }, `at ${member.place}`)] : []),
    ...(member.changes.length ? member.changes.map(changeOf)
      : [element("p", { class: "muted" }, data.planned ? "stays as it is" : "")])];
}

function jumps(ids) {
  return ids.map((id) => entry("", nodes.get(id).address, () => go(nodes.get(id), null)));
}

function instances(node, without) {
  return node.members.map((member, index) => [member, index]).filter(([, index]) => index !== without)
    .map(([, index]) => entryOf(node, index));
}

// What a node needs and what needs it stand out while the mouse is over it, and as long as it is open.
function relate(id) {
  const ids = id === null ? [] : [id, ...nodes.get(id).needs, ...nodes.get(id).needed_by];
  svg.classList.toggle("relating", id !== null);
  for (const other of svg.querySelectorAll(".node")) other.classList.toggle("related", ids.includes(other.dataset.node));
  for (const edge of svg.querySelectorAll(".edge")) {
    edge.classList.toggle("related", id !== null && [edge.dataset.needed, edge.dataset.dependant].includes(id));
  }
}

function relateOpen() {
  relate(svg.querySelector(".node.open")?.dataset.node ?? null);
}

function show(node, index) {
  const alone = index === null && node.members.length === 1 ? 0 : index;
  const member = alone === null ? null : node.members[alone];
  for (const other of svg.querySelectorAll(".node.open")) other.classList.remove("open");
  svg.querySelector(`[data-node="${node.id}"]`).classList.add("open");
  relate(node.id);
  panel.replaceChildren(
    element("p", {}, element("button", { type: "button", click: close }, "← all")),
    ...(member ? memberOf(member) : [element("h2", {}, node.address)]),
    ...(node.critical ? [element("p", { class: "muted" }, "On the critical path: no apply is faster than this chain.")] : []),
    ...section("Needs", jumps(node.needs)), ...section("Needed by", jumps(node.needed_by)),
    ...(node.members.length > 1 ? section("Instances", instances(node, alone)) : []));
  panel.scrollTop = 0;
  history.replaceState(null, "", `#${encodeURIComponent(member ? member.address : node.address)}`);
}

// Show what was chosen in the panel in the drawing, too: large enough to be read, and in the middle.
function go(node, index) {
  show(node, index);
  const box = svg.querySelector(`[data-node="${node.id}"] .box`).getBoundingClientRect();
  const room = canvas.getBoundingClientRect();
  const outside = box.left < room.left || box.right > room.right || box.top < room.top || box.bottom > room.bottom;
  if (!outside && scale() <= READABLE) return;
  const middle = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2).matrixTransform(svg.getScreenCTM().inverse());
  zoom(Math.min(READABLE / scale(), 1), middle.x, middle.y);
  whole.x = middle.x - whole.width / 2;
  whole.y = middle.y - whole.height / 2;
}

function close() {
  for (const other of svg.querySelectorAll(".node.open")) other.classList.remove("open");
  relate(null);
  history.replaceState(null, "", "#");
  seek();
}

function openFromAddress() {
  let wanted;
  try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { return false; }
  for (const node of data.nodes) {
    const index = node.members.findIndex((member) => member.address === wanted);
    if (index >= 0 || node.address === wanted) {
      go(node, index >= 0 ? index : null);
      return true;
    }
  }
  return false;
}

// ---- the last run

function showOperation(operation) {
  panel.replaceChildren(
    element("p", {}, element("button", { type: "button", click: close }, "← all")),
    element("h2", {}, operation.address),
    element("p", {}, element("b", {}, operation.words), `: ${operation.outcome}`),
    element("p", { class: "muted" }, operation.took),
    ...(operation.cause ? [element("p", {}, operation.cause)] : []),
    ...(operation.why ? [element("pre", {}, element("span", {}, operation.why))] : []),
    ...(operation.critical ? [element("p", { class: "muted" }, "In the chain that took longest.")] : []),
    ...(operation.tail.length ? [element("h3", {}, "The end of what it wrote"),
      element("pre", {}, ...operation.tail.map((line) => element("span", {}, line)))] : []));
  panel.scrollTop = 0;
}

const timeline = document.getElementById("timeline");
if (timeline) {
  const operations = new Map(data.operations.map((operation) => [operation.id, operation]));
  const openBar = (event) => {
    const bar = event.target.closest(".bar");
    if (bar) showOperation(operations.get(bar.dataset.operation));
  };
  timeline.addEventListener("click", openBar);
  timeline.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); openBar(event); }
  });
  document.getElementById("switch").addEventListener("click", (event) => {
    timeline.hidden = !timeline.hidden;
    canvas.hidden = !timeline.hidden;
    event.currentTarget.setAttribute("aria-pressed", String(!timeline.hidden));
  });
}

// ---- search

function textOf(node, member) {
  const changes = member.changes.flatMap((change) => [change.action, change.cause,
    ...change.fields.flatMap((field) => [field.path, ...field.lines.map(([, text]) => text)])]);
  return [node.address, member.address, ...changes].join("\n").toLowerCase();
}

function seek() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  svg.classList.toggle("searching", words.length > 0);
  const fits = (node, member) => words.every((word) => textOf(node, member).includes(word));
  for (const node of data.nodes) {
    svg.querySelector(`[data-node="${node.id}"]`).classList.toggle("match",
      words.length > 0 && node.members.some((member) => fits(node, member)));
  }
  overview(words.length ? fits : null);
}

search.addEventListener("input", seek);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") panel.querySelector("li button")?.click();
  if (event.key === "Escape") { search.value = ""; seek(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
  if (event.key === "Escape" && document.activeElement !== search) close();
});

// ---- the drawing: open a node, move, zoom

const whole = svg.viewBox.baseVal;
const all = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };

function fit() {
  const room = canvas.getBoundingClientRect();
  Object.assign(whole, all);
  // Small graphs are not blown up.
  const grown = Math.max(1, Math.min(room.width / all.width, room.height / all.height) / 1.4);
  zoom(grown, all.x + all.width / 2, all.y + all.height / 2);
}

function zoom(factor, x, y) {
  whole.x = x - (x - whole.x) * factor;
  whole.y = y - (y - whole.y) * factor;
  whole.width *= factor;
  whole.height *= factor;
}

function scale() {
  const room = canvas.getBoundingClientRect();
  return Math.max(whole.width / room.width, whole.height / room.height);
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  zoom(Math.exp(event.deltaY * 0.0015), point.x, point.y);
}, { passive: false });

let held = null;
canvas.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY, moved: false }; });
window.addEventListener("pointermove", (event) => {
  if (!held) return;
  if (Math.abs(event.clientX - held.x) + Math.abs(event.clientY - held.y) < 4 && !held.moved) return;
  const size = scale();
  whole.x -= (event.clientX - held.x) * size;
  whole.y -= (event.clientY - held.y) * size;
  held = { x: event.clientX, y: event.clientY, moved: true };
});
window.addEventListener("pointerup", () => { setTimeout(() => { held = null; }); });

function openAt(target) {
  const group = target.closest(".node");
  if (!group) return;
  const chip = target.closest(".chip");
  const index = chip && Number(chip.dataset.member) >= 0 ? Number(chip.dataset.member) : null;
  show(nodes.get(group.dataset.node), index);
}

svg.addEventListener("pointerover", (event) => {
  const group = event.target.closest(".node");
  if (!held && group) relate(group.dataset.node);
});
svg.addEventListener("pointerout", (event) => {
  if (!held && event.target.closest(".node")) relateOpen();
});
svg.addEventListener("click", (event) => { if (!held?.moved) openAt(event.target); });
svg.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); openAt(event.target); }
});

// ---- buttons

document.getElementById("fit").addEventListener("click", fit);
document.getElementById("critical").addEventListener("click", (event) => {
  const plain = svg.classList.toggle("plain");
  timeline?.classList.toggle("plain", plain);
  event.currentTarget.setAttribute("aria-pressed", String(!plain));
});
document.getElementById("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
});
window.addEventListener("hashchange", () => { openFromAddress() || seek(); });
fit();
openFromAddress() || overview(null);
