// Boxes of an answer in the Chat tab and the chips in its text point at each other, as boxes and rows elsewhere do
// (assets/boxes.js, which is `linkBoxes` here). The Chatbot lets no data-* attribute through, so the numbers of their
// boxes come as values of buttons (see dsvl2_app/ui/tabs/chat/transcript.py).
() => {
  const STAGES = "#conversation [data-testid=bot] .boxes:not([data-ready])";
  const updates = new WeakMap(); // of each message, what is to be done once it is drawn anew
  const number = (part) => {
    part.dataset.index = part.value;
    const shown = part.matches(".box") ? part.querySelector(".label") : part;
    if (!part.closest(".chip.label")) shown.dataset.number = Number(part.value) + 1;
  };
  new MutationObserver(() => {
    for (const message of new Set([...document.querySelectorAll(STAGES)].map((one) => one.closest("[data-testid=bot]")))) {
      for (const stage of message.querySelectorAll(".boxes")) stage.dataset.ready = "";
      for (const part of message.querySelectorAll(".box, .chip button")) number(part);
      message.querySelector(".chip button")?.setAttribute("tabindex", 0);
      if (!updates.has(message)) linkBoxes(message, (_, update) => updates.set(message, update));
      updates.get(message)();
    }
  }).observe(document.body, {childList: true, subtree: true});
}
