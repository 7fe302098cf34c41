// Keys, and links to a place of the page: Escape stops what is being written or, without that, ends the editing of a
// question; the arrow up in an empty message box takes the last one back to be edited; ?tab=documents opens a tab,
// ?tab=tiles#inside what is folded in it, and ?q=... fills the message box.
() => {
  const STOPS = "#message .stop-button, #grounding-stop, #documents-stop, #inside-stop, #chat-keep";
  const see = (part) => part.checkVisibility();
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape" && !document.fullscreenElement) {
      [...document.querySelectorAll(STOPS)].find(see)?.click();
    }
    if (event.key === "ArrowUp" && event.target.matches?.("#message textarea") && !event.target.value) {
      const pencils = document.querySelectorAll("#conversation .user-row + .message-buttons button:not(.undo)");
      const last = [...pencils].at(-1);
      if (!last || last.disabled) return;
      event.preventDefault();
      last.click();
    }
  });

  const asked = new URLSearchParams(location.search);
  const wait = async (find) => {
    for (let tries = 0; tries < 100; tries++) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return null;
  };
  const open = async () => {
    const tab = asked.get("tab");
    if (tab && /^[a-z]+$/.test(tab)) (await wait(() => document.querySelector(`[data-tab-id=${tab}]`)))?.click();
    const unfold = () => { // once it is in sight, and again where the page was not listening yet
      const folded = document.querySelector(`${location.hash} > .label-wrap`);
      if (!folded?.checkVisibility()) return null;
      if (folded.matches(".open")) return folded;
      folded.click();
      return null;
    };
    if (/^#[a-z]+$/.test(location.hash)) (await wait(unfold))?.scrollIntoView();
    const question = asked.get("q");
    const box = question && await wait(() => document.querySelector("#message textarea"));
    if (!box || box.value) return;
    box.value = question.slice(0, 20000);
    box.dispatchEvent(new Event("input", {bubbles: true}));
  };
  open();
}
