// Keys, and links to a place of the page: Escape stops what is being written or, without that, ends the editing of a
// question; the arrow up in an empty message box takes the last one back to be edited; ?tab=documents opens a tab,
// ?tab=tiles#inside what is folded in it, and ?q=... fills the message box. The address names the tab that is open: a
// reload opens it again, and the browser's Back leads to the one before it in place of away from what was done.
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

  // Stop takes the place of Send, Find, Read and Ask: the second click of a double click on these is not meant for it.
  document.addEventListener("click", (event) => {
    if (event.detail < 2 || !event.target.closest?.(STOPS)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  const asked = new URLSearchParams(location.search);
  const wait = async (find) => {
    for (let tries = 0; tries < 100; tries++) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return null;
  };
  const readTab = () => {
    const tab = new URLSearchParams(location.search).get("tab") ?? "";
    return /^[a-z]+$/.test(tab) ? tab : document.querySelector("[data-tab-id]")?.dataset.tabId;
  };
  const openTab = async () => (await wait(() => document.querySelector(`[data-tab-id=${readTab()}]`)))?.click();
  const writeTab = () => {
    const tab = document.querySelector("[data-tab-id][aria-selected=true]")?.dataset.tabId;
    if (!tab || tab === readTab()) return;
    const address = new URL(location.href);
    address.searchParams.set("tab", tab);
    address.hash = "";
    history.pushState(null, "", address);
  };
  const open = async () => {
    if (asked.get("tab")) await openTab();
    if (window.gradio_config) { // else this is another site's page, whose address is its own
      new MutationObserver(writeTab).observe(document.body, {subtree: true, attributeFilter: ["aria-selected"]});
      window.addEventListener("popstate", openTab);
    }
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
