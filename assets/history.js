// Conversations that this browser keeps (see dsvl2_app/ui/tabs/chat/keeping.py): in IndexedDB, pictures included, and
// nowhere else. What a tab shows, and what is typed in it, comes back after a reload and after a restart of the server.
const OFF = "dsvl2-history-off"; // in localStorage: nothing is kept
const HERE = "dsvl2-conversation"; // in sessionStorage, which each tab of the browser has for itself: its conversation
const DRAFT = "dsvl2-draft";
const LATEST = "dsvl2-latest"; // its turns as they came last: the database may not have them yet when the page is left
const keeps = () => localStorage.getItem(OFF) === null;
let words = null;
let restoring = false;
let query = "";

// -- the database

const opened = new Promise((resolve) => {
  const request = indexedDB.open("dsvl2", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("conversations", {keyPath: "id"});
    request.result.createObjectStore("pictures"); // by what identifies their content
  };
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => resolve(null); // a browser that keeps nothing
});
const act = async (store, mode, use) => {
  const database = await opened;
  if (!database) return null;
  return new Promise((resolve) => {
    const request = use(database.transaction(store, mode).objectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
  });
};
const list = async () => (await act("conversations", "readonly", (store) => store.getAll()) ?? [])
  .sort((one, other) => other.time - one.time);
const find = (id) => act("conversations", "readonly", (store) => store.get(id));
const put = (record) => act("conversations", "readwrite", (store) => store.put(record));
const findPicture = (key) => act("pictures", "readonly", (store) => store.get(key));

// Pictures that no conversation shows any more go.
const tidy = async () => {
  const used = new Set((await list()).flatMap((record) => keysOf(record)));
  for (const key of await act("pictures", "readonly", (store) => store.getAllKeys()) ?? []) {
    if (!used.has(key)) await act("pictures", "readwrite", (store) => store.delete(key));
  }
};
const keysOf = (record) => record.turns.flatMap((turn) => turn.pictures.map((picture) => picture.key));
const remove = async (id) => {
  await act("conversations", "readwrite", (store) => store.delete(id));
  if (sessionStorage.getItem(HERE) === id) sessionStorage.removeItem(HERE);
  await tidy();
};

// -- keeping

const digest = async (blob) => {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
};
const known = new Map(); // addresses -> keys, while the page is open
const keepPicture = async ({address, name, page, gone}) => {
  if (!known.has(address)) {
    // In another site's page scripts may not read what the browser has from showing the picture before it asks once more.
    const blob = await (await fetch(address, {cache: "no-cache"})).blob();
    // Without a secure connection browsers give no digests.
    const key = crypto.subtle ? await digest(blob) : `${name} ${blob.size}`;
    await act("pictures", "readwrite", (store) => store.put({blob, name}, key));
    known.set(address, key);
  }
  return {key: known.get(address), name, page, gone};
};
const same = (one, other) => one && other && one.question === other.question && one.answer === other.answer;
// What was shown when all was forgotten stays forgotten, also where its last answer ends later; a next turn is kept.
let shown = [];
let forgotten = null;
const isForgotten = (kept) => forgotten !== null && kept.length > 0 && kept.length <= forgotten.length
  && kept.every((each, place) => each.question === forgotten[place].question);
const forget = async () => {
  forgotten = shown;
  sessionStorage.removeItem(LATEST);
  for (const {id} of await list()) await remove(id);
  show();
};
const name = () => (crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`);
const keep = async (kept) => {
  if (!keeps() || restoring || isForgotten(kept)) return;
  if (!kept.length) {
    sessionStorage.removeItem(HERE); // the conversation that was cleared stays in the list
    return;
  }
  // One that came back after it was cleared goes on where it was kept.
  const isPart = (record) => record.turns.every((turn, place) => same(turn, kept[place]));
  let id = sessionStorage.getItem(HERE) ?? (await list()).find(isPart)?.id;
  if (id) sessionStorage.setItem(HERE, id);
  const before = id && await find(id);
  // Of a conversation that goes on otherwise from one of its turns, both branches are kept.
  const gone = before?.turns.findIndex((turn, place) => turn.answer && !same(turn, kept[place])) ?? -1;
  if (!id || (gone >= 0 && kept.length > gone)) {
    id = name();
    sessionStorage.setItem(HERE, id);
  } else if (gone >= 0) return; // turns were taken back, and nothing is in their place yet
  const turns = [];
  for (const turn of kept) turns.push({...turn, pictures: await Promise.all(turn.pictures.map(keepPicture))});
  const pictures = await Promise.all([...new Set(keysOf({turns}))].map(findPicture));
  const bytes = pictures.reduce((sum, each) => sum + (each?.blob.size ?? 0), JSON.stringify(turns).length);
  const title = turns[0].question.slice(0, 80);
  await put({id, time: Date.now(), title, name: before?.id === id ? before.name : undefined, bytes, turns});
  show();
};

// -- bringing back

const note = (turns) => {
  try {
    if (keeps() && !isForgotten(turns)) sessionStorage.setItem(LATEST, JSON.stringify(turns));
  } catch {
    sessionStorage.removeItem(LATEST); // there is no room for so much
  }
};
// Turns of a conversation with the answer that the last of them had when the page was left.
const withLatest = (turns) => {
  const latest = JSON.parse(sessionStorage.getItem(LATEST) ?? "[]");
  const [before, last, answered] = [turns.slice(0, -1), turns.at(-1), latest.at(-1)];
  const isIt = latest.length === turns.length && before.every((turn, place) => same(turn, latest[place]))
    && last?.question === answered?.question && !last?.answer;
  return isIt ? [...before, {...answered, pictures: last.pictures}] : turns;
};
const restore = async (id) => {
  const record = await find(id);
  if (!record) return;
  const kept = id === sessionStorage.getItem(HERE) ? withLatest(record.turns) : record.turns;
  restoring = true;
  try {
    const paths = new Map();
    for (const key of new Set(keysOf(record))) {
      const {blob, name} = await findPicture(key);
      paths.set(key, (await upload(new File([blob], name, {type: blob.type}))).path);
    }
    const turns = kept.map((turn) => ({
      ...turn, pictures: turn.pictures.map(({key, page, gone}) => ({path: paths.get(key), page, gone})),
    }));
    sessionStorage.setItem(HERE, id);
    trigger("restore", {turns});
  } catch (error) {
    sessionStorage.removeItem(HERE); // the pictures are gone
  } finally {
    restoring = false;
  }
};

// The conversation that was shown stays in the list.
const begin = () => {
  sessionStorage.removeItem(HERE);
  trigger("restore", {turns: []});
};

// What is being typed.
const box = () => document.querySelector("#message textarea");
document.addEventListener("input", ({target}) => {
  if (target === box()) sessionStorage.setItem(DRAFT, target.value);
});
const restoreDraft = () => {
  const draft = sessionStorage.getItem(DRAFT);
  if (!draft || !box() || box().value) return;
  box().value = draft;
  box().dispatchEvent(new Event("input", {bubbles: true}));
};

// -- the list

const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const holds = (record) => JSON.stringify([titleOf(record), ...record.turns.map(({question, answer}) => [question, answer])])
  .toLowerCase().includes(query);
// The name that a person gave it, or else its first question, without special tokens.
const titleOf = ({name, title}) => name || title.replace(/<\|[^|]*\|>/g, "").trim() || "…";
const rename = async (id) => {
  const record = await find(id);
  const name = record && prompt(words.rename, titleOf(record));
  if (name !== null && record) await put({...record, name: name.trim().slice(0, 80)}); // without one: the question again
};
const show = async () => {
  if (!words) return;
  const records = await list();
  const listed = records.filter(holds).map((record) => make(
    "li", record.id === sessionStorage.getItem(HERE) ? {"aria-current": "true"} : {},
    make("button", {type: "button", class: "open", "data-open": record.id}, titleOf(record)),
    make("small", {}, `${new Date(record.time).toLocaleString()} · ${size(record.bytes)}`),
    make("button", {type: "button", class: "rename", "data-rename": record.id, "aria-label": words.rename, title: words.rename}, "✎"),
    make("button", {type: "button", class: "remove", "data-remove": record.id, "aria-label": words.remove, title: words.remove}, "×"),
  ));
  const total = records.reduce((sum, record) => sum + record.bytes, 0);
  const summary = `${words.title} (${records.length}${records.length ? `, ${size(total)}` : ""})`;
  let details = element.querySelector("details");
  if (!details) {
    details = make(
      "details", {}, make("summary"),
      make("div", {class: "tools"},
        make("button", {type: "button", class: "begin"}, words.begin),
        make("input", {type: "search", placeholder: words.search, "aria-label": words.search}),
        make("label", {}, make("input", {type: "checkbox"}), ` ${words.keep}`),
        make("button", {type: "button", class: "forget"}, words.forget)),
      make("ul"),
    );
    element.replaceChildren(details);
  }
  details.querySelector("summary").textContent = summary;
  details.querySelector("[type=checkbox]").checked = keeps();
  details.querySelector("ul").replaceChildren(...(listed.length ? listed : [make("li", {}, words.none)]));
};
element.addEventListener("click", async ({target}) => {
  if (target.dataset.open) await restore(target.dataset.open);
  else if (target.dataset.rename) await turn.then(() => rename(target.dataset.rename)); // after what is being kept
  else if (target.dataset.remove) await remove(target.dataset.remove);
  else if (target.matches(".forget") && confirm(words.sure)) turn = turn.then(forget); // after what is being kept
  else if (target.matches(".begin")) await turn.then(begin);
  else return;
  show();
});
element.addEventListener("input", ({target}) => {
  if (!target.matches("[type=search]")) return;
  query = target.value.toLowerCase();
  show();
});
element.addEventListener("change", ({target}) => {
  if (!target.matches("[type=checkbox]")) return;
  if (target.checked) localStorage.removeItem(OFF);
  else {
    localStorage.setItem(OFF, "1");
    sessionStorage.removeItem(LATEST);
  }
});

let begun = false;
let turn = Promise.resolve();
let newest = 0; // when what is shown was true on the server; what comes behind it is older and tells nothing
watch("value", () => {
  const {turns, words: given, at = 0} = props.value ?? {};
  if (given) words = given;
  if (turns && at >= newest) {
    newest = at;
    shown = turns;
    note(turns);
    // What was asked, or is edited no more, is not being typed; the box may still hold it.
    const typed = box()?.value ?? "";
    sessionStorage.setItem(DRAFT, typed.trim() === turns.at(-1)?.question.trim() ? "" : typed);
    turn = turn.then(() => keep(turns));
  }
  if (begun || !given) return;
  begun = true;
  const here = sessionStorage.getItem(HERE);
  if (here && !turns) restore(here);
  restoreDraft();
  show();
});
