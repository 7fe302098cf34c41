// Pictures that are dropped or pasted anywhere on a tab go where that tab takes them. Where no component takes a file the
// browser would open it in place of the page.
() => {
  const TAKERS = ["#message", "#grounding-picture", "#documents-files", "#tiles-pictures"]; // one a tab
  const findTaker = () => TAKERS.map((name) => document.querySelector(name)).find((taker) => taker?.checkVisibility());
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const light = (on) => document.body.classList.toggle("dropping", on);
  // Some systems tell no type of these.
  const isPicture = ({name, type}) => type.startsWith("image/") || /\.(heic|heif|avif|webp)$/i.test(name);

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
    const input = beside && !isPicture(files[0]) ? beside : await findInput(taker);
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
  let dragged = null; // what of the page itself, such as a picture, which browsers drag as a file
  document.addEventListener("dragstart", ({target}) => { dragged = target; });
  document.addEventListener("dragend", () => { dragged = null; });
  // A gr.Image takes its picture away for whatever is dropped on it, even for itself or a PDF; neither it nor a gr.Gallery
  // has a place for documents.
  document.addEventListener("drop", (event) => {
    const taker = event.target.closest?.("#grounding-picture, #tiles-pictures");
    const files = [...event.dataTransfer.files];
    if (!taker || (taker.id === "tiles-pictures" && files.some(isPicture))) return;
    event.preventDefault();
    event.stopPropagation();
    light(false);
    if (!dragged?.isConnected) give(files);
  }, true);
  document.addEventListener("drop", (event) => {
    light(false);
    if (!holdsFiles(event) || event.defaultPrevented) return; // a component has taken it
    event.preventDefault();
    if (!dragged?.isConnected) give([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || event.defaultPrevented || event.target.closest?.("#message")) return;
    event.preventDefault();
    give(files);
  });
}
