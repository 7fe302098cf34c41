// The tour of the Inside view (see dsvl2_app/ui/tabs/tiles/inside_tour.py): one step at a time, each of which shows a way
// to look at the answer and points at a part of it.
const steps = () => [...element.querySelectorAll("li")];
let at = 0;
const point = (target) => {
  for (const other of document.querySelectorAll(".pointed")) other.classList.remove("pointed");
  target?.classList.add("pointed");
};
const go = (step) => {
  const all = steps();
  if (!all.length) return point(null);
  at = Math.min(Math.max(step, 0), all.length - 1);
  for (const [number, each] of all.entries()) each.hidden = number !== at;
  element.querySelector("output").textContent = `${at + 1} / ${all.length}`;
  element.querySelector("[data-step='-1']").disabled = at === 0;
  element.querySelector("[data-step='1']").disabled = at === all.length - 1;
  const {mode, target} = all[at].dataset;
  document.querySelector(`#inside-view [data-mode="${mode}"]`)?.click();
  point(document.querySelector(target));
};
const close = () => {
  point(null);
  element.querySelector(".tour")?.remove();
  document.querySelector("#inside-question textarea")?.focus();
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.step) go(at + Number(button.dataset.step));
  else close();
});
element.addEventListener("keydown", (event) => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (step) go(at + step);
  else if (event.key === "Escape") close();
});
const begin = () => {
  go(0);
  const tour = element.querySelector(".tour");
  tour?.focus();
  tour?.scrollIntoView({block: "start"});
};
watch("value", begin);
