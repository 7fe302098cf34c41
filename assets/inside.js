// The answer's tokens (see dsvl2_app/ui/tabs/tiles/inside.py): one is chosen by a click, or with the arrow keys.
const told = {}; // of the last choice (see LATEST in dsvl2_app/ui/events.py)
const choose = (token) => {
  for (const each of element.querySelectorAll(".piece")) {
    each.setAttribute("aria-pressed", each === token);
    each.tabIndex = each === token ? 0 : -1;
  }
  trigger("choose", Object.assign(told, {index: Number(token.dataset.index)}));
};
element.addEventListener("click", (event) => {
  const token = event.target.closest(".piece");
  if (token) choose(token);
});
element.addEventListener("keydown", (event) => {
  const token = event.target.closest(".piece");
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!token || !step) return;
  event.preventDefault();
  const tokens = [...element.querySelectorAll(".piece")];
  const next = tokens[tokens.indexOf(token) + step];
  if (!next) return;
  next.focus();
  choose(next);
});
