// An element is scrolled to the top of the window, and stays there while what is above it still comes, until the visitor
// does something or SECONDS have passed (see settle in dsvl2_app/ui/events.py).
(selector) => {
  const SECONDS = 10;
  // a tab that was never open is not there yet
  const observer = new ResizeObserver(() => document.querySelector(selector)?.scrollIntoView({block: "start"}));
  const end = () => observer.disconnect();
  observer.observe(document.body);
  for (const kind of ["wheel", "touchstart", "pointerdown", "keydown"]) addEventListener(kind, end, {once: true});
  setTimeout(end, 1000 * SECONDS);
}
