// Keeps what is being written in view, between the title and the question's field.

const GAP = 16;
const top = () => document.querySelector(".bar").getBoundingClientRect().bottom + GAP;
const bottom = () => document.querySelector(".dock").getBoundingClientRect().top - GAP;

/** Whether the reader looks at the end of an element, and has not scrolled back to something else. */
export function isFollowed(element) {
  return element.getBoundingClientRect().bottom < bottom() + 8 * GAP;
}

/** Scroll down until the end of an element is in view, but never its beginning out of it. */
export function bringIntoView(element) {
  const box = element.getBoundingClientRect();
  const distance = Math.min(box.bottom - bottom(), box.top - top());
  if (distance > 0) window.scrollBy({ top: distance, behavior: "instant" });
}
