// The result is scrolled into view once something is searched for (see dsvl2_app/ui/tabs/grounding/tab.py).
() => {
  const result = document.querySelector("#grounding-result"), {top, bottom} = result.getBoundingClientRect();
  if (top < innerHeight - 160 && bottom > 160) return;
  result.scrollIntoView({behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
}
