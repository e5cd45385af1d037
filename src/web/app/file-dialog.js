/** A `.mosara` file that was dropped or opened: it is uploaded under a name, or used in this conversation alone. */
import { putAdapter } from "./api.js";
import { byId, errorBox, grouped, h, openDialog } from "./dom.js";

/**
 * @typedef {object} FileHandlers
 * @property {(source: import("./columns.js").FileSource) => void} onUse
 * @property {(name: string) => void} onUploaded
 */

/**
 * Watches the whole page for dropped files, and the field that opens one.
 * @param {FileHandlers} handlers
 */
export function acceptFiles(handlers) {
  const [drop, field] = [byId("drop"), byId("file", HTMLInputElement)];
  const open = (/** @type {FileList | null | undefined} */ files) => void askForAll([...(files ?? [])], handlers);
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") === true;
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.hidden = true;
    open(event.dataTransfer?.files);
  });
  field.addEventListener("change", () => {
    open(field.files);
    field.value = ""; // the same file may be opened again
  });
}

/**
 * @param {readonly File[]} files
 * @param {FileHandlers} handlers
 */
async function askForAll(files, handlers) {
  for (const file of files) await new Promise((resolve) => ask(file, handlers).addEventListener("close", resolve));
}

/**
 * @param {File} file
 * @param {FileHandlers} handlers
 */
function ask(file, { onUse, onUploaded }) {
  const suggested = file.name.replace(/\.mosara$/i, "").replace(/[^A-Za-z0-9._-]+/g, "-");
  const name = h("input", {
    id: "upload-name",
    required: true,
    autofocus: true,
    value: suggested,
    autocomplete: "off",
    spellcheck: "false",
  });
  const replace = h("input", { id: "upload-replace", type: "checkbox" });
  const replaceLine = h(
    "p",
    { class: "check", hidden: true },
    replace,
    h("label", { for: "upload-replace" }, "Replace it"),
  );
  const problem = h("div", {});
  const attempt = (/** @type {() => Promise<void>} */ action) =>
    action().then(
      () => dialog.close(),
      (error) => {
        problem.replaceChildren(errorBox(error));
        if (error.code === "precondition_failed") replaceLine.hidden = false;
      },
    );
  const use = async () => onUse({ kind: "file", name: file.name, bytes: file.size, data: await base64Of(file) });
  const upload = async () => {
    const { id } = await putAdapter(name.value.trim(), file, replace.checked);
    onUploaded(id);
  };
  const form = uploadForm(name, replaceLine, () => void attempt(upload));
  const alone = aloneSection(() => void attempt(use));
  const dialog = openDialog(file.name, h("p", { class: "note" }, `${grouped(file.size)} bytes`), form, alone, problem);
  return dialog;
}

/**
 * @param {HTMLInputElement} name
 * @param {HTMLElement} replaceLine
 * @param {() => void} onSubmit
 */
function uploadForm(name, replaceLine, onSubmit) {
  return h(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        onSubmit();
      },
    },
    h("h3", {}, "Upload it"),
    h("p", { class: "note" }, "The server keeps it. Everyone who may use the server can name it."),
    h(
      "p",
      { class: "joined" },
      h("label", { for: "upload-name" }, "Name"),
      name,
      h("button", { class: "primary" }, "Upload"),
    ),
    replaceLine,
  );
}

/** @param {() => void} onUse */
function aloneSection(onUse) {
  return h(
    "div",
    { class: "alone" },
    h("h3", {}, "Or only try it"),
    h("button", { type: "button", onclick: onUse }, "Use it for this conversation alone"),
    h("p", { class: "note" }, "Each message carries the file along. The server does not keep it."),
  );
}

/**
 * @param {Blob} file
 * @returns {Promise<string>}
 */
function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("error", () => reject(reader.error ?? new Error("The file cannot be read.")));
    reader.addEventListener("load", () => {
      const url = /** @type {string} */ (reader.result);
      resolve(url.slice(url.indexOf(",") + 1));
    });
    reader.readAsDataURL(file);
  });
}
