// A click on an example's card, or on another numbered button, is an event with its number (see dsvl2_app/ui/examples.py
// and dsvl2_app/ui/tabs/grounding/exports.py).
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("choose", {index: Number(button.dataset.index)});
});
