// What Gradio's components tell screen readers wrongly, or not at all (axe-core finds these in Gradio 6.31).
() => {
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
    // Messages repeat what they say, character references and all.
    all("#conversation [data-testid][aria-label]", (message) => message.removeAttribute("aria-label"));
  };
  new MutationObserver(mend).observe(document.body, {childList: true, subtree: true, attributeFilter: ["aria-label"]});
}
