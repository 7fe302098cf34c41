// Where the answer appears is scrolled into view once something is asked for (see tab.py in dsvl2_app/ui/tabs/grounding and
// documents).
() => {
  const result = [...document.querySelectorAll(".result")].find((part) => part.checkVisibility());
  const {top, bottom} = result.getBoundingClientRect();
  if (top < innerHeight - 160 && bottom > 160) return;
  result.scrollIntoView({behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
}
