// Pages of documents (see dsvl2_app/ui/pages.py): thumbnails are pressed or boxes ticked, or ranges such as "1-3, 7" are
// typed. The value of the component holds for each document what is typed.
const find = (key) => props.value.documents.find((each) => each.key === key);
// The numbers that a text stands for; null where it is no list of pages.
const read = (text, count) => {
  const numbers = new Set();
  for (const part of text.trim() ? text.split(/[,;，；、]/) : ["-"]) {
    const found = part.match(/^\s*(\d+)?\s*([-–—~至到])?\s*(\d+)?\s*$/);
    if (!found || !part.trim()) return null;
    const first = Number(found[1] ?? 1);
    const last = found[2] ? Number(found[3] ?? count) : first;
    for (let number = first; number <= Math.min(last, count); number++) numbers.add(number);
  }
  return numbers;
};
const write = (numbers) => {
  const runs = [];
  for (const number of [...numbers].sort((one, other) => one - other)) {
    if (runs.at(-1)?.[1] === number - 1) runs.at(-1)[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
};
// The thumbnail of the page that is shown elsewhere.
const mark = (part) => {
  for (const button of part.querySelectorAll("button")) {
    const {key, number} = props.current ?? {};
    if (key === part.dataset.key && number === Number(button.dataset.number)) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
};
const looked = {}; // the page that was clicked last (see LATEST in dsvl2_app/ui/events.py)
const show = () => {
  for (const part of element.querySelectorAll(".document")) {
    const shown = find(part.dataset.key);
    const numbers = read(shown.chosen, shown.count);
    const typed = part.querySelector("input:not([type=checkbox])");
    typed.value = shown.chosen;
    typed.setAttribute("aria-invalid", numbers === null);
    for (const box of part.querySelectorAll("[type=checkbox]")) {
      box.checked = Boolean(numbers?.has(Number(box.dataset.number)));
    }
    if (props.shows) {
      mark(part);
      continue;
    }
    for (const button of part.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", Boolean(numbers?.has(Number(button.dataset.number))));
    }
  }
};
const choose = (key, chosen) => {
  const documents = props.value.documents.map((each) => (each.key === key ? {...each, chosen} : each));
  props.value = {...props.value, documents};
  requestAnimationFrame(show);
  trigger("pick");
};
const press = (key, number) => {
  const numbers = read(find(key).chosen, find(key).count) ?? new Set();
  if (props.single) numbers.clear();
  if (numbers.has(number) && numbers.size > 1) numbers.delete(number);
  else numbers.add(number);
  choose(key, write(numbers));
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-number]");
  if (!button) return;
  const key = button.closest(".document").dataset.key, number = Number(button.dataset.number);
  if (props.shows) trigger("look", Object.assign(looked, {key, number}));
  else press(key, number);
});
element.addEventListener("change", ({target}) => {
  if (!target.matches("input")) return;
  const key = target.closest(".document").dataset.key;
  if (target.type === "checkbox") press(key, Number(target.dataset.number));
  else choose(key, target.value);
});
watch("value", () => { if (props.value) show(); });
watch("current", () => element.querySelectorAll(".document").forEach(mark));
if (props.value) show();
