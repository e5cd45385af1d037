/** The field for the API key. It appears when the server asks for a key, and the tab remembers what was typed. */
import { keyEvents, rememberKey } from "./api.js";
import { byId } from "./dom.js";

/** @param {() => void} onKey called when there is a new key to try */
export function watchKey(onKey) {
  const [form, field, message] = [
    byId("key-form", HTMLFormElement),
    byId("key", HTMLInputElement),
    byId("key-message"),
  ];
  keyEvents.addEventListener("wanted", (event) => {
    const wasHidden = form.hidden;
    form.hidden = false;
    message.textContent = /** @type {CustomEvent<string>} */ (event).detail;
    if (wasHidden) field.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      rememberKey(field.value.trim());
    } catch (error) {
      message.textContent = /** @type {Error} */ (error).message;
      return;
    }
    field.value = "";
    message.textContent = "";
    form.hidden = true;
    onKey();
  });
}
