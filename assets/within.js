// The view inside (see dsvl2_app/ui/tabs/tiles/inside_view.py): experts, attention and nearest words drawn over the
// picture from one packed file (inside_pack.py), without asking the server when the layer changes.
const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const KINDS = {uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array};
let data = null; // header and arrays of the file
let levels = null; // [layers + 1][prompt] of the chosen word
let place = null; // {picture, index} of the chosen token
let images = [];
const [toldPlace, toldHead] = [{}, {}]; // of the last choice (see LATEST in dsvl2_app/ui/events.py)
const LARGEST = 999; // value of a box's number

const load = async (section) => {
  data = levels = place = null;
  const answer = await fetch(section.dataset.file);
  const stream = answer.body.pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const read = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  for (const [name, [kind, shape]] of Object.entries(read.arrays)) {
    const size = shape.reduce((product, side) => product * side, 1);
    read[name] = new KINDS[kind](buffer, at, size);
    at += Math.ceil(read[name].byteLength / 4) * 4;
    read.arrays[name] = shape;
  }
  let before = 0; // image tokens of earlier pictures
  for (const picture of read.pictures) {
    picture.before = before;
    before += picture.tokens;
  }
  images = await Promise.all(JSON.parse(section.dataset.pictures).map((address) => new Promise((resolve) => {
    const image = new Image();
    image.crossOrigin = "anonymous";
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = address;
  })));
  if (find(".within") !== section) return; // another one came meanwhile
  data = read;
  if (element.pending) levels = unpack(element.pending);
  element.pending = null;
  draw();
};

const mode = () => find('[data-mode][aria-pressed="true"]').dataset.mode;
const chosen = (kind) => Number(find(`.${kind} select`).value);
const layer = () => Number(find(".layer input").value) - 1;
const averaged = () => mode() === "attention" && find(".all input").checked;
const fill = (words, ...values) => words.replace(/\*/g, () => values.shift());
const unpack = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const hue = (expert) => `hsl(${(expert * 137.508) % 360} 70% ${45 + 15 * (expert % 3)}%)`;
const heat = (share) => `hsl(${(280 + 130 * share) % 360} 85% ${30 + 30 * share}%)`; // purple, red, orange, yellow

// What a token's square is filled with, [colour, opacity], or null.
const paint = () => {
  if (mode() === "attention") {
    const row = averaged() ? data.layers : layer();
    return (token) => {
      const share = levels ? levels[row * data.prompt + token] / 255 : 0;
      return share > 0.02 ? [heat(share), 0.15 + 0.65 * share] : null;
    };
  }
  if (mode() === "words" || mode() === "boxes") return () => null;
  const at = data.expertLayers.indexOf(layer());
  if (at < 0) return () => null;
  const [, active, tokens] = data.arrays.taken;
  const only = chosen("expert");
  const base = at * active * tokens;
  if (only < 0) {
    const colours = Array.from({length: data.experts}, (_, expert) => hue(expert));
    return (token) => [colours[data.taken[base + token]], 0.62];
  }
  return (token) => {
    for (let rank = 0; rank < active; rank++) {
      const here = base + rank * tokens + token;
      if (data.taken[here] === only) return [hue(only), 0.25 + 0.65 * data.weights[here] / data.steps];
    }
    return null;
  };
};

const nearestWord = (token) => {
  const at = data.lensLayers.findLastIndex((each) => each <= layer());
  const tokens = data.arrays.nearest[1];
  return data.words[data.nearest[(at < 0 ? 0 : at) * tokens + token]];
};

const CELL = 36; // px that a word wants
const TALL = 0.75; // of the window, that a sheet has at most
const sheets = new Map(); // canvas -> {wide, high} of its whole sheet in px, of which it shows the part in sight

// A canvas is never larger than what is in sight, however long the sheet is that is scrolled behind it.
const draw = () => {
  if (!data || !data.pictures.length) return;
  const number = Math.max(0, chosen("picture"));
  const picture = data.pictures[number];
  const color = paint();
  for (const [at, name] of ["global", "local"].entries()) {
    const canvas = find(`canvas.${name}`);
    const sheet = canvas.closest(".sheet");
    const [width, height] = picture.size;
    const columns = (at ? picture.grid[0] : 1) * data.side;
    let room, wide, high;
    for (let turn = 0; turn < 2; turn++) { // once more, because a scrollbar takes room
      room = sheet.clientWidth;
      wide = mode() === "words" ? Math.max(room, columns * CELL) : Math.min(room, 0.7 * innerHeight * width / height);
      high = wide * height / width;
      Object.assign(canvas.parentElement.style, {width: `${wide}px`, height: `${high}px`});
    }
    const [across, down] = [Math.min(wide, room), Math.min(high, TALL * innerHeight)];
    const ratio = Math.min(devicePixelRatio, 2);
    resize(canvas, across * ratio, down * ratio);
    Object.assign(canvas.style, {width: `${across}px`, height: `${down}px`});
    sheets.set(canvas, {wide, high});
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, -sheet.scrollLeft * ratio, -sheet.scrollTop * ratio);
    drawSheet(context, picture, at, wide * ratio, number, ratio, color);
  }
  strip(color);
  say();
};

const resize = (canvas, width, height) => {
  const [across, down] = [Math.round(width), Math.round(height)];
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
};

// All of it, `across` device px wide; what lies outside of the canvas is left out by `eachSeen`.
const drawSheet = (context, picture, view, across, number, ratio, color) => {
  const kind = mode();
  const [width, height] = picture.size;
  const scale = across / width;
  const down = height * scale;
  context.globalAlpha = 1;
  context.clearRect(0, 0, across, down);
  context.fillStyle = "#8888";
  if (images[number]) context.drawImage(images[number], 0, 0, across, down);
  else context.fillRect(0, 0, across, down);
  if (kind !== "experts") {
    context.fillStyle = kind === "words" ? "#fffc" : "#0007";
    context.fillRect(0, 0, across, down);
  }
  squares(context, picture, view, scale, color);
  if (kind === "words") spell(context, picture, view, scale, ratio);
  if (kind === "boxes") corners(context, across, down, ratio);
  outline(context, picture, view, scale, number, ratio);
};

const each = (picture, view, visit) => {
  for (let index = 0; index < picture.tokens; index++) {
    const row = 5 * (picture.before + index);
    if (data.boxes[row] === view) visit(index, ...data.boxes.subarray(row + 1, row + 5));
  }
};

// The same for what of a sheet is on the canvas.
const eachSeen = (context, picture, view, scale, visit) => {
  const {e: left, f: top} = context.getTransform();
  const {width, height} = context.canvas;
  each(picture, view, (index, x1, y1, x2, y2) => {
    if (x2 * scale + left > 0 && x1 * scale + left < width && y2 * scale + top > 0 && y1 * scale + top < height) {
      visit(index, x1, y1, x2, y2);
    }
  });
};

const squares = (context, picture, view, scale, color) => {
  if (mode() === "words" || mode() === "boxes") return;
  eachSeen(context, picture, view, scale, (index, left, top, right, bottom) => {
    const found = color(picture.start + index);
    if (!found) return;
    [context.fillStyle, context.globalAlpha] = found;
    const [x, y] = [Math.round(left * scale), Math.round(top * scale)];
    context.fillRect(x, y, Math.round(right * scale) - x, Math.round(bottom * scale) - y);
  });
  context.globalAlpha = 1;
};

const spell = (context, picture, view, scale, ratio) => {
  context.fillStyle = "#111827";
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  eachSeen(context, picture, view, scale, (index, left, top, right, bottom) => {
    const word = nearestWord(picture.before + index).trim().slice(0, 8);
    context.fillText(word, (left + right) / 2 * scale, (top + bottom) / 2 * scale, (right - left) * scale - 2);
  });
};

// The edges of the answer's boxes, each as soft as the model was unsure of its place: [left, top, width, height, opacity].
function* soften(across, down, least) {
  for (const [number, values] of data.corners.entries()) {
    const [x1, y1, x2, y2] = placeBox(values, across, down);
    for (let edge = 0; edge < 4; edge++) {
      const first = (4 * number + edge) * (LARGEST + 1);
      const step = (edge % 2 ? down : across) / LARGEST;
      for (const [value, chance] of data.chances.subarray(first, first + LARGEST + 1).entries()) {
        const [at, wide] = [(value - 0.5) * step, Math.max(step, least)];
        if (chance) yield edge % 2 ? [x1, at, x2 - x1, wide, chance / 255] : [at, y1, wide, y2 - y1, chance / 255];
      }
    }
  }
}
const placeBox = (values, across, down) => values.map((value, at) => value / LARGEST * (at % 2 ? down : across));
const EDGE = "#ff9d00";
const corners = (context, across, down, ratio) => {
  context.fillStyle = EDGE;
  for (const [left, top, width, height, opacity] of soften(across, down, 2 * ratio)) {
    context.globalAlpha = opacity;
    context.fillRect(left, top, width, height);
  }
  context.globalAlpha = 1;
  context.lineWidth = ratio;
  context.strokeStyle = "#fff";
  for (const values of data.corners) {
    const [x1, y1, x2, y2] = placeBox(values, across, down);
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
};

// The edges of tiles, and a frame around the chosen place.
const outline = (context, picture, view, scale, number, ratio) => {
  const [width, height] = picture.size;
  context.lineWidth = ratio;
  context.strokeStyle = "#ffffffb0";
  if (view) {
    for (const [place, box] of picture.tiles.entries()) {
      if (place) context.strokeRect(...box.map((side) => side * scale));
    }
  }
  if (place?.picture !== number) return;
  const row = 5 * (picture.before + place.index);
  const [left, top, right, bottom] = data.boxes.subarray(row + 1, row + 5);
  const same = data.boxes[row] === view;
  context.lineWidth = (same ? 3 : 1.5) * ratio;
  for (const [colour, grow] of [["black", 1.5 * ratio], ["#ffd400", 0]]) {
    context.strokeStyle = colour;
    context.strokeRect(left * scale - grow, top * scale - grow, (right - left) * scale + 2 * grow, (bottom - top) * scale + 2 * grow);
  }
};

const strip = (color) => {
  for (const span of all(".text [data-token]")) {
    const found = color(Number(span.dataset.token));
    span.style.background = found ? `color-mix(in srgb, ${found[0]} ${Math.round(found[1] * 40)}%, transparent)` : "";
  }
};

const say = () => {
  const words = JSON.parse(find(".within").dataset.words);
  const kind = mode();
  let text = fill(words.layer, layer() + 1, data.layers);
  if (averaged()) text = words.average;
  else if (kind === "experts" && !data.expertLayers.includes(layer())) text = fill(words.dense, layer() + 1, data.layers);
  else if (kind === "words") {
    text = fill(words.lens, 1 + (data.lensLayers.findLast((each) => each <= layer()) ?? data.lensLayers[0]));
  }
  else if (kind === "boxes") text = words.boxes;
  find("output").textContent = text;
  find(".layer").hidden = kind === "boxes";
  legend(words, kind);
  find(".all").hidden = kind !== "attention";
  find(".head").hidden = kind !== "attention";
  find(".expert").hidden = kind !== "experts";
};

const MOST_SHOWN = 8; // experts in the legend
// What the colours mean: of experts those that are the first choice of most places of the picture.
const legend = (words, kind) => {
  const parts = [];
  if (kind === "attention") parts.push(words.attention, bar([0.1, 0.4, 0.7, 1].map(heat)));
  const at = data.expertLayers.indexOf(layer());
  if (kind === "experts" && chosen("expert") >= 0) parts.push(words.weight, bar([25, 55, 90].map((share) => fade(chosen("expert"), share))));
  else if (kind === "experts" && at >= 0) parts.push(words.first, ...count(at).map(([expert, share]) => name(expert, share)));
  find(".legend").replaceChildren(...parts);
};
const fade = (expert, share) => `color-mix(in srgb, ${hue(expert)} ${share}%, transparent)`;
const bar = (colours) => Object.assign(document.createElement("i"), {className: "bar", style: `background: linear-gradient(to right, ${colours})`});
const count = (at) => {
  const [, active, tokens] = data.arrays.taken;
  const picture = data.pictures[Math.max(0, chosen("picture"))];
  const counts = new Array(data.experts).fill(0);
  const first = at * active * tokens + picture.start;
  for (const expert of data.taken.subarray(first, first + picture.tokens)) counts[expert] += 1 / picture.tokens;
  return [...counts.entries()].sort((one, other) => other[1] - one[1]).slice(0, MOST_SHOWN).filter(([, share]) => share);
};
const name = (expert, share) => {
  const button = Object.assign(document.createElement("button"), {type: "button"});
  Object.assign(button.dataset, {layer: layer(), expert});
  const swatch = Object.assign(document.createElement("i"), {style: `background: ${hue(expert)}`});
  const part = Object.assign(document.createElement("small"), {textContent: `${Math.round(100 * share)}%`});
  button.append(swatch, `${expert + 1} `, part);
  return button;
};

const choose = (index) => {
  const number = Math.max(0, chosen("picture"));
  place = {picture: number, index};
  draw();
  trigger("place", Object.assign(toldPlace, {index: data.pictures[number].start + index}));
};

const choosePicture = () => {
  place = null;
  draw();
};

element.addEventListener("click", (event) => {
  if (!data) return;
  const button = event.target.closest("[data-mode]");
  if (button) {
    for (const other of all("[data-mode]")) other.setAttribute("aria-pressed", other === button);
    return draw();
  }
  const save = event.target.closest("[data-save]");
  if (save) return keep(save.dataset.save);
  const canvas = event.target.closest("canvas");
  if (!canvas) return;
  const picture = data.pictures[Math.max(0, chosen("picture"))];
  const {left, top} = canvas.getBoundingClientRect();
  const {scrollLeft, scrollTop} = canvas.closest(".sheet");
  const {wide, high} = sheets.get(canvas);
  const x = (event.clientX - left + scrollLeft) / wide * picture.size[0];
  const y = (event.clientY - top + scrollTop) / high * picture.size[1];
  each(picture, canvas.matches(".local") ? 1 : 0, (index, x1, y1, x2, y2) => {
    if (x >= x1 && x < x2 && y >= y1 && y < y2) choose(index);
  });
});

element.addEventListener("keydown", (event) => {
  const canvas = event.target.closest("canvas");
  const step = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (!canvas || !data || !(step || event.key === "Enter")) return;
  event.preventDefault();
  const number = Math.max(0, chosen("picture"));
  const picture = data.pictures[number];
  const view = canvas.matches(".local") ? 1 : 0;
  if (place?.picture !== number || data.boxes[5 * (picture.before + place.index)] !== view) {
    let first = null;
    each(picture, view, (index) => { first ??= index; });
    place = {picture: number, index: first};
  } else if (step) {
    const row = 5 * (picture.before + place.index);
    const [x, y] = [(data.boxes[row + 1] + data.boxes[row + 3]) / 2, (data.boxes[row + 2] + data.boxes[row + 4]) / 2];
    let best = null;
    each(picture, view, (index, left, top, right, bottom) => { // the nearest one on that side
      const [over, down] = [(left + right) / 2 - x, (top + bottom) / 2 - y];
      const [ahead, aside] = step[0] ? [over * step[0], Math.abs(down)] : [down * step[1], Math.abs(over)];
      if (ahead > 0.01 && (!best || ahead + 9 * aside < best[0])) best = [ahead + 9 * aside, index];
    });
    if (best) place.index = best[1];
  }
  if (event.key === "Enter") choose(place.index);
  else reveal(canvas, picture);
});

// The chosen place comes into sight.
const reveal = (canvas, picture) => {
  const [left, top, right, bottom] = data.boxes.subarray(5 * (picture.before + place.index) + 1);
  const sheet = canvas.closest(".sheet");
  const scale = sheets.get(canvas).wide / picture.size[0];
  const into = (from, to, seen, size) => Math.max(Math.min(seen, from * scale), to * scale - size);
  sheet.scrollTo(into(left, right, sheet.scrollLeft, canvas.clientWidth), into(top, bottom, sheet.scrollTop, canvas.clientHeight));
  draw();
};
element.addEventListener("scroll", () => requestAnimationFrame(draw), true);

element.addEventListener("input", (event) => {
  if (!data) return;
  if (event.target.closest(".layer")) find(".all input").checked = false;
  if (event.target.closest(".picture")) return choosePicture();
  if (event.target.closest(".head")) trigger("attend", Object.assign(toldHead, {index: chosen("head") + 1}));
  draw();
});

// An expert that was chosen in the table, and the attention of a word: both come as events of the page.
const showExpert = (at, expert) => {
  if (!data) return;
  find('[data-mode="experts"]').click();
  find(".layer input").value = at + 1;
  find(".expert select").value = expert;
  draw();
  find(".within").scrollIntoView({block: "nearest"});
};
element.parentElement.closest("#inside-seen")?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-expert]");
  if (button) showExpert(Number(button.dataset.layer), Number(button.dataset.expert));
});
document.addEventListener("dsvl2-attention", (event) => {
  if (!element.isConnected) return;
  if (!data) element.pending = event.detail;
  else {
    levels = unpack(event.detail);
    draw();
  }
});

const keep = async (kind) => {
  let blob;
  if (kind === "png") blob = await new Promise((resolve) => drawWhole().toBlob(resolve, "image/png"));
  else blob = new Blob([writeSvg()], {type: "image/svg+xml"});
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `inside.${kind}`;
  link.click();
  URL.revokeObjectURL(link.href);
};

const drawWhole = () => {
  const canvas = document.createElement("canvas");
  const number = Math.max(0, chosen("picture"));
  const ratio = Math.min(devicePixelRatio, 2);
  const {wide, high} = sheets.get(find("canvas.local"));
  resize(canvas, wide * ratio, high * ratio);
  drawSheet(canvas.getContext("2d"), data.pictures[number], 1, wide * ratio, number, ratio, paint());
  return canvas;
};

const writeSvg = () => {
  const number = Math.max(0, chosen("picture"));
  const picture = data.pictures[number];
  const [width, height] = picture.size;
  const color = paint();
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [images[number]?.naturalWidth ?? 1, images[number]?.naturalHeight ?? 1];
  if (images[number]) copy.getContext("2d").drawImage(images[number], 0, 0);
  const parts = [`<image href="${copy.toDataURL("image/jpeg", 0.9)}" width="${width}" height="${height}"/>`];
  if (mode() !== "experts") parts.push(`<rect width="${width}" height="${height}" fill="${mode() === "words" ? "#fffc" : "#0007"}"/>`);
  const unknown = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu; // what XML cannot hold
  const escape = (text) => text.replace(unknown, "\ufffd").replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  if (mode() === "boxes") {
    for (const [left, top, across, down, opacity] of soften(width, height, 1)) {
      const size = `x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${across.toFixed(1)}" height="${down.toFixed(1)}"`;
      parts.push(`<rect ${size} fill="${EDGE}" fill-opacity="${opacity.toFixed(2)}"/>`);
    }
  }
  each(picture, 1, (index, left, top, right, bottom) => {
    const found = color(picture.start + index);
    const size = `x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${(right - left).toFixed(1)}" height="${(bottom - top).toFixed(1)}"`;
    if (found) parts.push(`<rect ${size} fill="${found[0]}" fill-opacity="${found[1].toFixed(2)}"/>`);
    if (mode() === "words") {
      const word = escape(nearestWord(picture.before + index).trim());
      parts.push(`<text x="${((left + right) / 2).toFixed(1)}" y="${((top + bottom) / 2).toFixed(1)}" font-size="${((right - left) / 4).toFixed(1)}" text-anchor="middle" font-family="sans-serif">${word}</text>`);
    }
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}">${parts.join("")}</svg>`;
};

const begin = () => {
  const section = find(".within");
  if (section) load(section);
  else data = null;
};
watch("value", begin);
begin();
addEventListener("resize", () => { if (element.isConnected) draw(); });
