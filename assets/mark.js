// A rectangle is dragged over a picture, or typed as four numbers (see dsvl2_app/ui/tabs/grounding/marking.py). The
// value of the component is {source, width, height, box}, the box in px of the picture.
const inputs = () => [...element.querySelectorAll("input")]; // left, top, right, bottom
let start = null;

const show = (box) => {
  const rectangle = element.querySelector(".rectangle");
  if (!rectangle) return;
  rectangle.hidden = !box;
  if (!box) return;
  const {width, height} = props.value;
  const [left, top, right, bottom] = box;
  const edges = {
    left: left / width, top: top / height, width: (right - left) / width, height: (bottom - top) / height,
  };
  for (const name in edges) rectangle.style[name] = `${100 * edges[name]}%`;
};
const fill = (box) => inputs().forEach((input, at) => { input.value = box ? box[at] : ""; });
const locate = (event) => {
  const {left, top, width, height} = element.querySelector(".canvas").getBoundingClientRect();
  const clip = (share) => Math.min(1, Math.max(0, share));
  return [
    Math.round(clip((event.clientX - left) / width) * props.value.width),
    Math.round(clip((event.clientY - top) / height) * props.value.height),
  ];
};
const span = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];

element.addEventListener("pointerdown", (event) => {
  const canvas = event.target.closest(".canvas");
  if (!canvas || event.button) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  start = locate(event);
});
element.addEventListener("pointermove", (event) => {
  if (!start) return;
  const box = span(start, locate(event));
  show(box);
  fill(box);
});
element.addEventListener("pointerup", (event) => {
  if (!start) return;
  const box = span(start, locate(event));
  start = null;
  const drawn = box[2] - box[0] > 1 && box[3] - box[1] > 1;
  props.value = {...props.value, box: drawn ? box : props.value.box};
  show(props.value.box);
  fill(props.value.box);
});
element.addEventListener("pointercancel", () => {
  start = null;
  show(props.value?.box);
});
element.addEventListener("change", (event) => {
  if (!event.target.matches("input")) return;
  const typed = inputs().map((input) => input.value);
  const whole = typed.every((text) => text !== "" && Number.isFinite(Number(text)));
  props.value = {...props.value, box: whole ? typed.map(Number) : null};
  show(props.value.box);
});
element.addEventListener("click", (event) => {
  if (event.target.closest(".another")) trigger("another");
});
const refresh = () => {
  show(props.value?.box);
  fill(props.value?.box);
};
watch("value", refresh);
refresh();
