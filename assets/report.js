// The script of report.html: filters rows, and draws their cards as they come into sight.
"use strict";
const STEP = 40; // cards at a time
const THEMES = [["", "as the system"], ["light", "light"], ["dark", "dark"]];
const rows = JSON.parse(document.getElementById("rows").textContent);
for (const row of rows) {
  const texts = [row.number, row.id, row.kind, row.question, row.raw, row.extracted, row.reason, ...(row.truths ?? [])];
  row.text = texts.filter((each) => each !== undefined).join("\n").toLowerCase();
}
const cards = document.getElementById("cards");
const search = document.getElementById("search");
const end = document.createElement("div");
let shown = [];
let drawn = 0;

function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function drawBox(box, name) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  ["x", "y", "width", "height"].forEach((key, place) => rect.setAttribute(key, box[place]));
  rect.setAttribute("class", name);
  return rect;
}

function drawPicture(row, name, place) {
  const figure = make("figure");
  const inside = document.getElementById(`picture-${name}`);
  const source = inside ? `data:image/jpeg;base64,${inside.textContent}` : `pictures/${name}.jpg`;
  figure.append(make("img", undefined, { src: source, alt: `Picture ${place + 1} of question ${row.number}`, loading: "lazy" }));
  if (place === 0 && row.truth) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 1000 1000");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true"); // the boxes stand beside it as numbers
    svg.append(drawBox(row.truth, "truth"));
    if (row.answer) svg.append(drawBox(row.answer, "answer"));
    figure.append(svg);
  }
  return figure;
}

function drawCard(row) {
  const heading = `question-${row.number}`;
  const card = make("article", undefined, { class: row.verdict, tabindex: 0, "aria-labelledby": heading });
  const words = make("div");
  if (row.verdict !== "skipped") {
    const pictures = make("div", undefined, { class: "pictures" });
    pictures.append(...row.pictures.map((name, place) => drawPicture(row, name, place)));
    card.append(pictures);
  }
  words.append(make("h2", row.question ?? `Row ${row.number}`, { id: heading }));
  const line = make("p", undefined, { class: "id" });
  const score = row.score === undefined ? "" : ` ${row.score}`;
  line.append(make("span", row.verdict + score, { class: "verdict" }));
  line.append(` · row ${row.number}${row.id ? ` · ${row.id}` : ""}${row.kind ? ` · ${row.kind}` : ""}`);
  const list = make("dl");
  const told = row.verdict === "skipped"
    ? [["Left out", row.reason]]
    : [["Truth", row.truths.join(" | ")], ["Read", row.extracted || "nothing"], ["Answer", row.raw || "nothing"]];
  for (const [name, text] of told) list.append(make("dt", name), make("dd", text));
  words.append(line, list);
  card.append(words);
  return card;
}

function drawMore() {
  const more = shown.slice(drawn, drawn + STEP);
  drawn += more.length;
  end.before(...more.map(drawCard));
}

function choose() {
  const verdict = document.querySelector("input[name=show]:checked").value;
  const wanted = search.value.trim().toLowerCase();
  shown = rows.filter((row) => (verdict === "all" || row.verdict === verdict) && row.text.includes(wanted));
  document.getElementById("count").textContent = `${shown.length} of ${rows.length} rows`;
  drawn = 0;
  cards.replaceChildren(end);
  drawMore();
}

function step(forward) {
  const all = [...cards.querySelectorAll("article")];
  const here = all.indexOf(document.activeElement?.closest("article"));
  if (forward && here + 1 >= all.length) drawMore();
  const next = here < 0 ? all[0] : forward ? (all[here].nextElementSibling ?? all[here]) : all[Math.max(0, here - 1)];
  next?.focus();
}

document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("controls").addEventListener("input", choose);
document.getElementById("theme").addEventListener("click", (event) => {
  const now = THEMES.findIndex(([name]) => name === (document.documentElement.dataset.theme ?? ""));
  const [name, said] = THEMES[(now + 1) % THEMES.length];
  document.documentElement.dataset.theme = name;
  event.target.textContent = `Theme: ${said}`;
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=search]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); search.focus(); }
  if (event.key === "j" || event.key === "k") { event.preventDefault(); step(event.key === "j"); }
});
new IntersectionObserver((seen) => { if (seen[0].isIntersecting) drawMore(); }, { rootMargin: "1200px" }).observe(end);
choose();
