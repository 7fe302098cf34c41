// Boxes are moved, sized, drawn, named and taken away by hand (see dsvl2_app/ui/tabs/grounding/correcting.py). Runs after
// boxes.js in one scope with it. Each change tells the server of all boxes as [label, x1, y1, x2, y2] in 0..999.
const SIDE = 999;
const GRIP = 8; // px from an edge that take hold of it,
const OUTSIDE = 4; // and of those, outside of the box
const STEP = 5; // of 999, by an arrow key; with Shift it moves the right or the bottom edge alone
const HANDLES = { // of the box that is chosen: which edges each holds, as `grip` says it
  nw: [true, true, false, false], n: [false, true, false, false], ne: [false, true, true, false],
  w: [true, false, false, false], e: [false, false, true, false],
  sw: [true, false, false, true], s: [false, false, false, true], se: [false, false, true, true],
};
const ROOM = 36; // px that a side needs for a handle in its middle
let drag = null; // what is dragged: {index, from, before, held}; no index: a box is drawn
let wanted = null; // index of the box that has the focus once the server has answered
let search = null; // number of the one whose boxes are shown
let naming = false; // whether its name has it then, of a box that was drawn

const cornersOf = (part) => part.dataset.box.split(",").map(Number);
const find = (index) => element.querySelector(`.box[data-index="${index}"]`);
const list = () => all(".box[data-index]").sort((one, other) => one.dataset.index - other.dataset.index)
  .map((part) => [part.dataset.label, ...cornersOf(part)]);
const told = {}; // of the last change (see LATEST in dsvl2_app/ui/events.py)
const tell = (change) => trigger("correct", Object.assign(told, {search, boxes: null, restore: false}, change));
const nameField = () => element.querySelector(".tools .name");
const clip = (value) => Math.round(Math.min(SIDE, Math.max(0, value)));

const lay = (part, corners) => {
  const [x1, y1, x2, y2] = corners;
  part.dataset.box = corners.join(",");
  const edges = {left: x1, top: y1, width: x2 - x1, height: y2 - y1};
  for (const name in edges) part.style[name] = `${100 * edges[name] / SIDE}%`;
};
const locate = (event) => {
  const {left, top, width, height} = element.querySelector(".canvas").getBoundingClientRect();
  return [clip((event.clientX - left) / width * SIDE), clip((event.clientY - top) / height * SIDE)];
};
// Which edges are under the pointer: left, top, right, bottom.
const grip = (part, event) => {
  if (event.target.matches(".handle")) return HANDLES[event.target.dataset.edges];
  const {left, top, right, bottom, width, height} = part.getBoundingClientRect();
  const [across, down] = [Math.min(GRIP, width / 4), Math.min(GRIP, height / 4)];
  return [
    Math.abs(event.clientX - left) < across, Math.abs(event.clientY - top) < down,
    Math.abs(event.clientX - right) < across, Math.abs(event.clientY - bottom) < down,
  ];
};
// The box under the pointer, or so near that its edge is meant.
const pick = ({target, clientX: x, clientY: y}) => target.closest(".box") ?? all(".box[data-index]").find((part) => {
  const {left, top, right, bottom} = part.getBoundingClientRect();
  return x > left - OUTSIDE && x < right + OUTSIDE && y > top - OUTSIDE && y < bottom + OUTSIDE;
}) ?? null;
const move = ([x1, y1, x2, y2], [across, down]) => {
  const dx = Math.min(SIDE - x2, Math.max(-x1, across)), dy = Math.min(SIDE - y2, Math.max(-y1, down));
  return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
};
const size = ([x1, y1, x2, y2], [across, down]) =>
  [x1, y1, clip(Math.max(x1 + 2, x2 + across)), clip(Math.max(y1 + 2, y2 + down))];
const reach = (to) => {
  const {from, before, held} = drag, way = [to[0] - from[0], to[1] - from[1]];
  if (!before) return [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
  if (!held.includes(true)) return move(before, way);
  const [x1, y1, x2, y2] = before.map((edge, at) => held[at] ? clip(edge + way[at % 2]) : edge);
  return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
};
const showHandles = (part) => {
  for (const handle of all(".handle")) handle.remove();
  if (!correcting || !part) return;
  const fits = {n: part.clientWidth > ROOM, e: part.clientHeight > ROOM};
  const edges = Object.keys(HANDLES).filter((name) => name.length === 2 || (/[ns]/.test(name) ? fits.n : fits.e));
  part.append(...edges.map((name) => {
    const handle = document.createElement("i");
    handle.className = `handle ${name}`;
    handle.dataset.edges = name;
    return handle;
  }));
};
const refresh = () => {
  element.querySelector(".boxes")?.classList.toggle("correcting", correcting);
  element.querySelector(".tools .correct")?.setAttribute("aria-pressed", correcting);
  const part = chosen === null ? null : find(chosen);
  showHandles(part);
  const remove = element.querySelector(".tools .delete");
  if (remove) remove.disabled = !part;
  if (part && nameField() && nameField() !== document.activeElement) nameField().value = part.dataset.label;
};
const remove = () => {
  if (chosen === null) return;
  const boxes = list().filter((_, at) => at !== Number(chosen));
  chosen = null;
  tell({boxes});
};

element.addEventListener("pointerdown", (event) => {
  const canvas = event.target.closest(".canvas");
  if (!correcting || !canvas || event.button) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  const part = pick(event);
  chosen = part ? part.dataset.index : null;
  drag = {index: chosen, from: locate(event), before: part && cornersOf(part), held: part && grip(part, event)};
  mark();
  refresh();
});
element.addEventListener("pointermove", (event) => {
  if (!drag) return;
  drag.now = reach(locate(event));
  let part = drag.before ? find(drag.index) : element.querySelector(".drawn");
  if (!part) {
    part = document.createElement("div");
    part.className = "box drawn";
    element.querySelector(".canvas").append(part);
  }
  lay(part, drag.now);
});
const drop = () => {
  if (!drag) return;
  const {index, before, now} = drag;
  drag = null;
  element.querySelector(".drawn")?.remove();
  if (!now || now[2] - now[0] < 2 || now[3] - now[1] < 2 || `${now}` === `${before}`) {
    if (before && find(index)) lay(find(index), before);
    return;
  }
  const boxes = list();
  if (before) boxes[index].splice(1, 4, ...now);
  else chosen = String(boxes.push([nameField().value.trim(), ...now]) - 1);
  naming = !before;
  tell({boxes});
};
element.addEventListener("pointerup", drop);
element.addEventListener("pointercancel", () => {
  if (drag) drag.now = null;
  drop();
});
element.addEventListener("click", (event) => {
  const button = event.target.closest(".tools button");
  if (button?.matches(".correct")) correcting = !correcting;
  if (button?.matches(".delete")) remove();
  if (button?.matches(".restore")) {
    chosen = null;
    tell({restore: true});
  }
  refresh();
});
element.addEventListener("change", (event) => {
  if (!event.target.matches(".tools .name") || chosen === null) return;
  const boxes = list();
  boxes[chosen][0] = event.target.value.trim();
  tell({boxes});
});
element.addEventListener("keydown", (event) => {
  const way = {ArrowRight: [STEP, 0], ArrowDown: [0, STEP], ArrowLeft: [-STEP, 0], ArrowUp: [0, -STEP]}[event.key];
  const part = event.target.closest(".box");
  if (!correcting || !event.target.matches(".box, .row") || !(event.key === "Delete" || (part && way))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  chosen = event.target.dataset.index;
  if (event.key === "Delete") return remove();
  const boxes = list();
  boxes[chosen].splice(1, 4, ...(event.shiftKey ? size : move)(cornersOf(part), way));
  lay(part, boxes[chosen].slice(1));
  wanted = chosen;
  tell({boxes});
}, true);
// Boxes of another search are not under correction yet.
const begin = () => {
  const shown = Number(element.querySelector(".tools")?.dataset.search ?? 0);
  if (shown === search) return;
  if (search) chosen = null; // a box that is chosen while an answer grows stays so at its end
  search = shown;
  correcting = false;
  drag = wanted = null;
  naming = false;
};
watch("value", () => {
  begin();
  mark();
  refresh();
  if (wanted !== null) find(wanted)?.focus();
  wanted = null;
  if (naming) {
    nameField()?.focus();
    nameField()?.select();
  }
  naming = false;
});
