// Links the strip of tokens to the picture (see dsvl2_app/ui/tabs/tiles/token_map.py): a token's place, a
// tile's tokens.
() => {
  const read = (tokens) => JSON.parse(tokens.dataset.places); // [what, box in px or null, tile or null] for each token
  const fillIn = (words, ...values) => words.replace(/\*/g, () => values.shift());

  // Where in the strip the tokens of a tile are, as [first, last] of each run.
  const findRuns = (places, tile) => {
    const runs = [];
    places.forEach(([, , of], number) => {
      if (of !== tile) return;
      if (runs.at(-1)?.[1] === number - 1) runs.at(-1)[1] = number;
      else runs.push([number, number]);
    });
    return runs;
  };
  const paint = (tokens, places, box, tile, runs) => {
    const mark = tokens.querySelector(".map .token");
    const [left, top, right, bottom] = box ?? [0, 0, 0, 0];
    const edges = {x: left, y: top, width: right - left, height: bottom - top};
    for (const name in edges) mark.setAttribute(name, edges[name]);
    for (const rectangle of tokens.querySelectorAll(".map .tile")) {
      rectangle.classList.toggle("holding", Number(rectangle.dataset.tile) === tile);
    }
    tokens.querySelector(".runs").replaceChildren(...runs.map(([first, last]) => {
      const run = document.createElement("i");
      run.style.left = `${(100 * first) / places.length}%`;
      run.style.width = `${(100 * (last - first + 1)) / places.length}%`;
      return run;
    }));
  };
  const showToken = (tokens, number) => {
    const places = read(tokens);
    const [what, box, tile] = places[number];
    paint(tokens, places, box, tile, [[number, number]]);
    tokens.querySelector("input").value = number;
    tokens.querySelector(".place").textContent = fillIn(tokens.dataset.token, number, what);
  };
  const showTile = (tokens, tile) => {
    const places = read(tokens);
    const runs = findRuns(places, tile);
    const [first, last] = [runs[0][0], runs.at(-1)[1]];
    const count = places.filter(([, , of]) => of === tile).length;
    const boxes = places.flatMap(([, box, of]) => (of === tile && box ? [box] : []));
    const edge = (at, pick) => pick(...boxes.map((box) => box[at]));
    const box = tile === 0 && [edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)];
    paint(tokens, places, box || null, tile, runs);
    tokens.querySelector("input").value = first;
    const name = tokens.querySelector(`[data-tile="${tile}"]`);
    tokens.querySelector(".place").textContent = fillIn(
      tokens.dataset.tileWords, name.getAttribute("aria-label") ?? name.textContent, count, runs.length, first, last,
    );
  };
  const point = (event) => {
    const {target} = event;
    const tokens = target.closest?.(".tokens");
    if (!tokens) return;
    if (target.dataset.tile !== undefined) return showTile(tokens, Number(target.dataset.tile));
    if (target.matches("input") && event.type !== "pointermove") return showToken(tokens, Number(target.value));
    const strip = target.closest(".strip");
    if (strip && event.clientX !== undefined) {
      const {left, width} = strip.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
      showToken(tokens, Math.min(Math.floor(share * read(tokens).length), read(tokens).length - 1));
    }
  };
  for (const kind of ["pointermove", "pointerdown", "focusin", "input"]) document.addEventListener(kind, point);
}
