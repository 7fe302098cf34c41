// The conversation follows its end while an answer is written, until the reader scrolls up; it goes on following once
// the reader is at the end again, or asks. Gradio's own way goes to the end at every update.
() => {
  const END = 48; // px from it that count as being there
  const find = () => document.querySelector("#conversation .bubble-wrap");
  let following = true;
  let place = 0;
  let height = 0;
  let questions = 0;
  let measured = null;
  const isAtEnd = (area) => area.scrollHeight - area.scrollTop - area.clientHeight < END;
  document.addEventListener("scroll", ({target}) => {
    if (target !== find()) return;
    if (isAtEnd(target)) following = true;
    else if (target.scrollTop < place) following = false;
    place = target.scrollTop;
  }, true);
  const follow = () => {
    const area = find();
    if (!area) return;
    if (area !== measured) {
      sizes.disconnect();
      sizes.observe(area);
      measured = area;
    }
    const shrunk = area.scrollHeight < height;
    if (area.scrollTop < place && !isAtEnd(area) && !shrunk) following = false; // of which no event has told yet
    const asked = area.querySelectorAll(".user-row").length;
    if (asked > questions) following = true;
    questions = asked;
    if (following && asked) area.scrollTop = area.scrollHeight;
    place = area.scrollTop;
    height = area.scrollHeight;
  };
  const sizes = new ResizeObserver(follow); // it gives room to what comes below it
  new MutationObserver((changes) => {
    if (changes.some(({target}) => target.closest?.("#conversation"))) follow();
  }).observe(document.body, {childList: true, subtree: true});
  document.addEventListener("load", ({target}) => {
    if (target.closest?.("#conversation")) follow(); // a picture has its height by now
  }, true);
}
