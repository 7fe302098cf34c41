// Where the answer appears is scrolled into view once something is asked for (see tab.py in dsvl2_app/ui/tabs/grounding and
// documents). On a phone, where it stands below the question, it is scrolled to the top, again as it grows and so gives
// room for that, until it is there or somebody does something.
() => {
  const result = [...document.querySelectorAll(".result")].find((part) => part.checkVisibility());
  const {top, bottom, left} = result.getBoundingClientRect();
  const isBelow = left <= result.previousElementSibling.getBoundingClientRect().left;
  if (top < (isBelow ? 160 : innerHeight - 160) && bottom > 160) return;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  result.scrollIntoView({behavior});
  if (!isBelow) return;
  const growth = new ResizeObserver(() => {
    if (result.getBoundingClientRect().top < 160) growth.disconnect();
    else result.scrollIntoView({behavior});
  });
  growth.observe(result);
  for (const act of ["wheel", "touchstart", "pointerdown", "keydown"]) {
    addEventListener(act, () => growth.disconnect(), {once: true, passive: true});
  }
}
