// A click on an example's card is an event with its number (see dsvl2_app/ui/examples.py).
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("choose", {index: Number(button.dataset.index)});
});
