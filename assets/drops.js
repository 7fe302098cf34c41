// Pictures that are dropped or pasted anywhere on a tab go where that tab takes them. Where no component takes a file the
// browser would open it in place of the page.
() => {
  const TAKERS = ["#message", "#grounding-picture", "#documents-files", "#tiles-pictures"]; // one a tab
  const findTaker = () => TAKERS.map((name) => document.querySelector(name)).find((taker) => taker?.checkVisibility());
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const light = (on) => document.body.classList.toggle("dropping", on);

  // A component that shows a picture has no input until that one is taken away.
  const findInput = async (taker) => {
    for (let tries = 0; tries < 20; tries++) {
      const input = taker.querySelector("input[type=file]");
      if (input) return input;
      if (!tries) [...taker.querySelectorAll(".icon-button-wrapper button, .top-panel button")].at(-1)?.click();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return null;
  };
  const give = async (files) => {
    const taker = findTaker();
    if (!taker || !files.length) return;
    // Where what is no picture is opened: the input stands beside its button.
    const opener = document.getElementById(taker.id.replace(/-pictures?$/, "-document"));
    const beside = [...(opener?.parentElement.children ?? [])].find((part) => part.matches("input[type=file]"));
    const input = beside && !files[0].type.startsWith("image/") ? beside : await findInput(taker);
    if (!input) return;
    const given = new DataTransfer();
    for (const file of input.multiple ? files : [files[0]]) given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  };
  // What was attached in a format that the browser cannot show.
  document.addEventListener("error", ({target}) => {
    const thumbnail = target.closest?.("#message .thumbnail-item");
    if (!thumbnail) return;
    thumbnail.classList.add("unseen");
    thumbnail.dataset.format = (target.src.match(/\.(\w{2,5})$/)?.[1] ?? "?").toUpperCase();
  }, true);

  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    light(Boolean(findTaker()));
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) light(false);
  });
  document.addEventListener("drop", (event) => {
    light(false);
    if (!holdsFiles(event) || event.defaultPrevented) return; // a component has taken it
    event.preventDefault();
    give([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || event.defaultPrevented || event.target.closest?.("#message")) return;
    event.preventDefault();
    give(files);
  });
}
