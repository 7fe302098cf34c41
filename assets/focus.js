// The message box has the focus once the page is there and whenever something else than a key changed what it holds, where
// there is a keyboard; on a telephone the page would scroll to it, and its keys would cover half of the screen.
() => {
  if (!matchMedia("(pointer: fine) and (min-width: 640px)").matches) return;
  const box = document.querySelector("#message textarea");
  if (!box?.checkVisibility() || document.activeElement?.matches("input, textarea, select")) return;
  box.focus({preventScroll: true});
}
