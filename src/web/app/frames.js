/** Work that is worth doing once a frame, however often it is asked for. */

/** A hidden tab has no frames. Its answers continue, and their text is there when the tab is visible again. */
const HIDDEN_MS = 200;

/**
 * `ask` runs `paint` before the next frame, once for all calls since the last frame. A fast model sends many tokens a
 * frame, and each change of a long text costs a layout of all of it.
 * @param {() => void} paint
 */
export function oncePerFrame(paint) {
  /** @type {(() => void) | null} */
  let cancel = null;
  const run = () => {
    cancel = null;
    paint();
  };
  return {
    ask() {
      if (cancel) return;
      if (document.hidden) {
        const timer = setTimeout(run, HIDDEN_MS);
        cancel = () => clearTimeout(timer);
      } else {
        const frame = requestAnimationFrame(run);
        cancel = () => cancelAnimationFrame(frame);
      }
    },
    cancel() {
      cancel?.();
      cancel = null;
    },
  };
}
