// What the page takes from the DOM of Gradio's components, and mends in it: all seen in Gradio 6.31, for which
// dsvl2_app/ui/gradio_quirks.py says how to move to another release. Classes and roles named here have no public names.
() => {
  // -- what copy buttons copy: there is no hook for it, so navigator.clipboard.writeText is replaced

  // Messages reach the Chatbot with character references in place of signs (dsvl2_app/ui/tabs/chat/markup.py), with
  // pictures above the text and timings below. Its copy buttons would copy what it was given; here that becomes the
  // text alone.
  const clipboard = navigator.clipboard;
  if (clipboard) {
    const write = clipboard.writeText.bind(clipboard);
    clipboard.writeText = (text) => write(
      text
        .replace(/<div class="pictures">.*?<\/div>\n*/g, "")
        .replace(/\n*<details class="timings">.*?<\/details>/g, "")
        .replace(/\n*<section class="found">.*?<\/section>/g, "")
        .replace(/<span class="dropped" [^>]*><\/span>/g, "")
        .replace(/<span class="chip [^>]*title="([^"]*)"[^>]*>.*?<\/span>/g, "$1")
        .replace(/<code class="inline">(.*?)<\/code>/g, "`$1`")
        .replace(/&#(\d{4});/g, (_, code) => String.fromCharCode(Number(code)))
    );
  }

  // -- downloads of a component in another site's page

  // Gradio downloads by a link. Browsers follow one that leads to another origin, so a picture would take the page's
  // place; here it leads to a copy of the file.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[download]");
    if (!link || link.origin === location.origin || !link.pathname.includes("/gradio_api/file=")) return;
    event.preventDefault();
    const copy = document.createElement("a");
    copy.download = link.download;
    copy.href = URL.createObjectURL(await (await fetch(link.href, {cache: "no-cache"})).blob());
    copy.click();
    setTimeout(() => URL.revokeObjectURL(copy.href), 60000);
  }, true);

  // -- a camera that is not there, or that may not be used: Gradio's component shows nothing then

  const cameras = navigator.mediaDevices;
  if (cameras?.getUserMedia) {
    const open = cameras.getUserMedia.bind(cameras);
    const refuse = () => {
      const told = document.createElement("div");
      told.className = "notice";
      told.setAttribute("role", "alert");
      told.textContent = navigator.language.startsWith("zh")
        ? "这里无法使用摄像头：请连接摄像头并允许本页面使用它，或者上传图片。"
        : "No camera can be used here: connect one and allow this page to use it, or upload a picture.";
      const asking = [...document.querySelectorAll("#grounding-picture, #tiles-pictures")].find((part) => part.checkVisibility());
      asking?.after(told);
      document.addEventListener("click", () => told.remove(), {capture: true, once: true});
    };
    cameras.getUserMedia = (wanted) => open(wanted).catch(() => {
      refuse();
      return new Promise(() => {}); // Gradio would leave the refusal uncaught
    });
  }

  // -- an edit and an undo button at every question: Gradio offers them for the last one, and for text, alone

  // The Chatbot's own pencil edits text only, and its undo knows only the last question. A hidden textbox tells the
  // server "edit 2 1" or "undo 2 1" instead (dsvl2_app/ui/tabs/chat/revising.py); the last number counts, so that
  // doing the same again is a change too.
  const BUTTONS = "#conversation .user-row + .message-buttons";
  const pencils = () => [...document.querySelectorAll(BUTTONS)]
    .map((buttons) => [...buttons.querySelectorAll("button:not(.undo)")].at(-1));
  const ARROW = '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">'
    + '<path d="M4 9h10a6 6 0 0 1 0 12h-3M4 9l5-5M4 9l5 5"/></svg>';

  let revisions = 0;
  const revise = (verb, what) => {
    const box = document.querySelector("#chat-revision :is(textarea, input)");
    if (!box || what < 0) return;
    box.value = `${verb} ${what} ${++revisions}`;
    box.dispatchEvent(new Event("input", {bubbles: true}));
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest(`${BUTTONS} button`);
    const undoes = button?.matches(".undo");
    const number = pencils().indexOf(undoes ? button.previousElementSibling : button);
    if (number < 0) return;
    event.stopImmediatePropagation();
    revise(undoes ? "undo" : "edit", number);
  }, true);

  // A picture of a question is left out by the key Delete, or by the button in its corner, and comes back the same way.
  const PICTURES = "#conversation .user-row a.picture";
  const leaveOut = (picture) => revise("picture", [...document.querySelectorAll(PICTURES)].indexOf(picture));
  document.addEventListener("click", (event) => {
    const picture = event.target.closest?.(PICTURES);
    if (!picture) return;
    const {right, top} = picture.getBoundingClientRect();
    if (event.clientX < right - 24 || event.clientY > top + 24 || !event.clientX) return;
    event.preventDefault();
    leaveOut(picture);
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Delete" || !event.target.matches?.(PICTURES)) return;
    event.preventDefault();
    leaveOut(event.target);
  });

  // The picture that boxes are drawn on. The answer is then drawn anew, and the choice has the focus again.
  let placed = null; // the button that was pressed
  document.addEventListener("change", ({target}) => {
    if (!target.matches?.("#conversation .placing input")) return;
    placed = target;
    revise("mark", target.value);
  });
  new MutationObserver(() => {
    if (!placed || placed.isConnected) return;
    const again = document.querySelector(`#conversation .placing input[value="${placed.value}"]`);
    if (again && document.activeElement === document.body) again.focus({preventScroll: true});
    if (again) placed = null;
  }).observe(document.body, {childList: true, subtree: true});

  const makeUndo = () => {
    const undo = document.createElement("button");
    undo.className = "undo";
    undo.title = document.querySelector("#chat-revision label")?.textContent.trim() || "Undo";
    undo.setAttribute("aria-label", undo.title);
    undo.innerHTML = ARROW;
    return undo;
  };
  // An undo for every pencil, to be had when the pencil is: not while an answer is written.
  const addUndo = () => {
    for (const pencil of pencils()) {
      if (!pencil) continue;
      if (!pencil.nextElementSibling?.matches(".undo")) pencil.after(makeUndo());
      const undo = pencil.nextElementSibling;
      if (undo.disabled !== pencil.disabled) undo.disabled = pencil.disabled; // else this would call itself for ever
    }
  };
  const watched = {childList: true, subtree: true, attributeFilter: ["disabled"]};
  new MutationObserver(addUndo).observe(document.body, watched);

  // -- what components tell screen readers wrongly, or not at all (axe-core finds these)

  const nameOf = (button) =>
    button.closest(".block")?.querySelector("[data-testid=block-label]")?.textContent.trim() || "Picture";
  const mend = () => {
    const all = (selector, change) => document.querySelectorAll(selector).forEach(change);
    // A list without items, and items without a list.
    all("#conversation .examples[role=list]", (examples) => examples.setAttribute("role", "group"));
    all(".thumbnail-wrapper[role=listitem]", (thumbnail) => thumbnail.setAttribute("role", "group"));
    // Buttons that are only a picture.
    all("button.gallery-item:not([aria-label])", (button, place) => {
      if (!button.textContent.trim()) button.setAttribute("aria-label", `Example ${place + 1}`);
    });
    all("button:not([aria-label]):has(> .image-frame)", (button) => button.setAttribute("aria-label", nameOf(button)));
    // A button within a button.
    all("button:not([role]):has(button.upload-container)", (outer) => {
      outer.setAttribute("role", "group");
      outer.tabIndex = -1;
    });
    // A button that is named by the key of its translation.
    all('button[aria-label="common.webcam"]', (button) => {
      button.setAttribute("aria-label", navigator.language.startsWith("zh") ? "摄像头" : "Webcam");
    });
    // Messages repeat what they say, character references and all.
    all("#conversation [data-testid][aria-label]", (message) => message.removeAttribute("aria-label"));
  };
  new MutationObserver(mend).observe(document.body, {childList: true, subtree: true, attributeFilter: ["aria-label"]});
}
