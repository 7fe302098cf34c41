// Links the strip of tokens to the picture (see dsvl2_app/ui/token_map.py): a token's place, a tile's tokens.
() => {
  const show = (tokens, number, words) => {
    const [what, box] = JSON.parse(tokens.dataset.places)[number];
    const mark = tokens.querySelector(".map .token");
    const [left, top, right, bottom] = box ?? [0, 0, 0, 0];
    const edges = {x: left, y: top, width: right - left, height: bottom - top};
    for (const name in edges) mark.setAttribute(name, edges[name]);
    tokens.querySelector("input").value = number;
    tokens.querySelector(".place").textContent = words ?? `Token ${number}: ${what}`;
  };
  const point = (event) => {
    const {target} = event;
    const tokens = target.closest?.(".tokens");
    if (!tokens) return;
    if (target.matches(".tile")) show(tokens, Number(target.dataset.first), target.getAttribute("aria-label"));
    if (target.matches(".tokens input")) show(tokens, Number(target.value));
    const strip = target.closest(".strip");
    if (strip && event.clientX !== undefined) {
      const {left, width} = strip.getBoundingClientRect();
      const last = Number(tokens.querySelector("input").max);
      const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
      show(tokens, Math.round(share * last));
    }
  };
  for (const kind of ["pointermove", "pointerdown", "focusin", "input"]) document.addEventListener(kind, point);
}
