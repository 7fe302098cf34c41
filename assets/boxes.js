// Boxes over pictures and what else is said of them, rows of a table or chips in a text, that point at each other (see
// dsvl2_app/ui/tabs/grounding/linked.py). A part's data-index numbers its boxes, with spaces between.
const all = (selector) => [...element.querySelectorAll(selector)];
let chosen = null; // data-index of the part that stays marked
let pointed = null; // data-index of the one under the pointer or with the focus
let correcting = false; // whether boxes are moved by hand (assets/correct.js)

const shares = (part, indices) => indices !== null &&
  part.dataset.index.split(" ").some((index) => indices.split(" ").includes(index));
const mark = () => {
  const active = pointed ?? chosen;
  for (const part of all(".boxes")) part.classList.toggle("pointing", active !== null);
  for (const part of all("[data-index]")) part.classList.toggle("active", shares(part, active));
  for (const part of all("button[data-index]")) part.setAttribute("aria-pressed", shares(part, chosen));
};

// Each label goes above its box, below it or into a corner: on the picture, and where neither another label nor another
// box is, but for those around its own. One that finds no place shrinks to its number; where even that finds none, it is
// shown while its box is pointed at.
const place = () => all(".canvas").forEach(placeOn);
const placeOn = (canvas) => {
  const frame = canvas.getBoundingClientRect();
  const measure = (part) => {
    const {left, top, width, height} = part.getBoundingClientRect();
    return {x: left - frame.left, y: top - frame.top, width, height};
  };
  const overlap = (one, other) => one.x < other.x + other.width && other.x < one.x + one.width &&
    one.y < other.y + other.height && other.y < one.y + one.height;
  const holds = (outer, inner) => outer.x <= inner.x && outer.y <= inner.y &&
    outer.x + outer.width >= inner.x + inner.width && outer.y + outer.height >= inner.y + inner.height;
  const parts = [...canvas.querySelectorAll(".box")], labels = parts.map((part) => part.querySelector(".label"));
  const boxes = parts.map(measure);
  // All are measured before any is moved, so that the browser lays the page out twice and not for each of them.
  const [whole, short] = [false, true].map((shorten) => {
    for (const label of labels) label?.classList.toggle("short", shorten);
    return labels.map((label) => label && measure(label));
  });
  const taken = [];
  const fit = (box, {width, height}) => {
    const [right, bottom] = [box.x + box.width - width, box.y + box.height - height];
    const obstacles = [...taken, ...boxes.filter((other) => !holds(other, box))];
    const spots = [
      [box.x, box.y - height], [box.x, box.y], [box.x, box.y + box.height], [right, box.y - height], [right, box.y],
      [box.x, bottom], [right, bottom], [right, box.y + box.height],
    ].map(([x, y]) => ({
      x: Math.max(0, Math.min(x, frame.width - width)), y: Math.max(0, Math.min(y, frame.height - height)),
      width, height, moved: y < 0 || y + height > frame.height,
    }));
    return {first: spots[0], free: spots.find((spot) => !spot.moved && !obstacles.some((other) => overlap(spot, other)))};
  };
  labels.forEach((label, at) => {
    if (!label) return;
    const box = boxes[at], asWhole = fit(box, whole[at]);
    const {first, free} = asWhole.free ? asWhole : fit(box, short[at]);
    const {x, y} = free ?? first;
    label.style.transform = `translate(${x - box.x}px, ${y - box.y}px)`;
    label.classList.toggle("short", !asWhole.free);
    label.classList.toggle("crowded", !free);
    if (free) taken.push(free);
  });
};

const point = (event) => {
  const part = event.target.closest("[data-index]");
  const index = part ? part.dataset.index : null;
  if (index === pointed) return;
  pointed = index;
  mark();
};
element.addEventListener("pointerover", point);
element.addEventListener("focusin", point);
for (const kind of ["pointerleave", "focusout"]) {
  element.addEventListener(kind, () => { pointed = null; mark(); });
}
element.addEventListener("click", (event) => {
  if (event.target.closest(".enlarge")) {
    if (document.fullscreenElement) document.exitFullscreen();
    else element.querySelector(".stage").requestFullscreen();
    return;
  }
  const part = event.target.closest("[data-index]");
  if (!part || (correcting && event.detail && part.matches(".box"))) return; // the press has chosen it
  chosen = chosen === part.dataset.index ? null : part.dataset.index;
  mark();
});
// Boxes are one stop of the Tab key, rows another, and chips a third; arrow keys go from one to the next.
element.addEventListener("keydown", (event) => {
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  const kind = [".box", ".row", ".chip button"].find((selector) => event.target.matches(selector));
  if (!step || !kind) return;
  event.preventDefault();
  const order = all(`${kind}[data-index]`)
    .sort((one, other) => parseInt(one.dataset.index) - parseInt(other.dataset.index));
  const next = order[order.indexOf(event.target) + step];
  if (!next) return;
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
watch("value", () => {
  if (!element.querySelector(`[data-index="${chosen}"]`)) chosen = null;
  pointed = null;
  mark();
  place();
});
new ResizeObserver(place).observe(element);
element.addEventListener("load", place, true);
element.addEventListener("fullscreenchange", () => requestAnimationFrame(place));
