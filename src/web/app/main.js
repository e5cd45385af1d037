/** The page: puts the list, the columns and the conversation together. */
import { getVersion, modelPages } from "./api.js";
import { openBlendDialog } from "./blend-dialog.js";
import { Columns, labelOf, MAX_COLUMNS } from "./columns.js";
import { Conversation } from "./conversation.js";
import { byId, errorBox, h } from "./dom.js";
import { acceptFiles } from "./file-dialog.js";
import { headOf } from "./heads.js";
import { openJobsDialog } from "./jobs-dialog.js";
import { watchKey } from "./key-panel.js";
import { Picker } from "./picker.js";

const columns = new Columns();
const picker = new Picker((name) => columns.ofModel(name)?.slot.toString() ?? null, toggle);
const conversation = new Conversation(readSettings, () => picker.base ?? "", showRunning);
const [heads, tabs] = [byId("heads"), byId("tabs")];
const [composer, message] = [byId("composer", HTMLFormElement), byId("message", HTMLTextAreaElement)];
const [send, stop] = [byId("send", HTMLButtonElement), byId("stop", HTMLButtonElement)];
/** The column that a phone shows. */
let shownId = 0;
/** Names in the address, until their columns have been added. */
let wanted = new URLSearchParams(location.hash.slice(1)).get("columns")?.split(",").slice(0, MAX_COLUMNS) ?? null;

/** @param {string} name */
function toggle(name) {
  const column = columns.ofModel(name);
  if (column) remove(column);
  else addColumn({ kind: "model", name, isBase: name === picker.base });
}

/** @param {import("./columns.js").Source} source */
function addColumn(source) {
  if (columns.isFull) {
    notice(new Error(`The page has ${MAX_COLUMNS} columns at most. Remove one, then add ${labelOf(source)}.`));
    return;
  }
  const column = columns.add(source);
  heads.append(headOf(column, () => remove(column)));
  shownId = column.id;
  showColumns();
}

/** Gives an adapter that the list may not have yet a column of its own. @param {string} name */
function showNew(name) {
  picker.add([{ id: name, parent: "" }]);
  const column = columns.ofModel(name);
  if (column) remove(column); // it shows what the name was before
  toggle(name);
}

/** @param {import("./columns.js").Column} column */
function remove(column) {
  columns.remove(column);
  heads.querySelector(`[data-column="${column.id}"]`)?.remove();
  if (shownId === column.id) shownId = columns.list[0]?.id ?? 0;
  showColumns();
  message.focus();
}

function showColumns() {
  document.body.style.setProperty("--columns", String(Math.max(columns.list.length, 1)));
  byId("notice").replaceChildren();
  conversation.show(columns.list);
  picker.render();
  const names = columns.list.flatMap(({ source }) => (source.kind === "model" ? [source.name] : []));
  history.replaceState(null, "", `#${new URLSearchParams({ columns: names.join(",") })}`);
  tabs.replaceChildren(
    ...columns.list.map(({ id, slot, source }) => {
      const attributes = { type: "button", "data-slot": slot, "data-tab": id, onclick: () => showOne(id) };
      return h("button", attributes, h("span", { class: "dot", "aria-hidden": "true" }), labelOf(source));
    }),
  );
  showOne(shownId);
  showRunning();
}

/**
 * On a phone there is room for one column.
 * @param {number} id
 */
function showOne(id) {
  shownId = id;
  for (const tab of tabs.querySelectorAll("[data-tab]"))
    tab.setAttribute("aria-pressed", String(tab.getAttribute("data-tab") === String(id)));
  for (const cell of document.querySelectorAll("[data-column]"))
    cell.classList.toggle("shown", cell.getAttribute("data-column") === String(id));
}

function showRunning() {
  send.disabled = conversation.isRunning || columns.list.length === 0;
  stop.disabled = !conversation.isRunning;
  byId("empty").hidden = !conversation.isEmpty;
  showOne(shownId);
}

/** @returns {import("./conversation.js").Settings} */
function readSettings() {
  const number = (/** @type {string} */ id) => {
    const { value } = byId(id, HTMLInputElement);
    return value === "" ? null : Number(value);
  };
  const system = byId("system", HTMLTextAreaElement).value.trim();
  return { system, temperature: number("temperature"), maxTokens: number("max-tokens") };
}

/** @param {unknown} error */
function notice(error) {
  byId("notice").replaceChildren(errorBox(error));
}

async function loadNames() {
  picker.clear();
  byId("notice").replaceChildren();
  try {
    for await (const models of modelPages()) {
      picker.add(models);
      addFirstColumns();
    }
    picker.complete();
    const { version, device, weights } = await getVersion();
    byId("server").textContent = `${picker.base ?? ""} · ${weights} on ${device} · mosara ${version}`;
  } catch (error) {
    if (/** @type {{status?: number}} */ (error).status !== 401) notice(error);
  }
}

/** The columns that the address names; without any, the base and the first adapter. */
function addFirstColumns() {
  const names = wanted ?? [picker.base, picker.adapters[0]].filter((name) => typeof name === "string");
  wanted = [];
  for (const name of names) if (name !== "" && !columns.ofModel(name)) toggle(name);
  const [first] = columns.list;
  if (first) showOne(first.id);
}

function submit() {
  const text = message.value.trim();
  if (text === "" || send.disabled) return;
  conversation.send(text);
  message.value = "";
  message.focus();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
composer.addEventListener("keydown", (event) => {
  if (event.key === "Escape") conversation.stop();
});
stop.addEventListener("click", () => {
  conversation.stop();
  message.focus();
});
byId("clear").addEventListener("click", () => {
  conversation.clear();
  showRunning();
  message.focus();
});
byId("show-sidebar").addEventListener("click", (event) => {
  const isOpen = byId("sidebar").classList.toggle("open");
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  button.setAttribute("aria-expanded", String(isOpen));
  button.textContent = isOpen ? "Done" : "Adapters";
});
byId("blend").addEventListener("click", () => openBlendDialog(picker, addColumn));
acceptFiles({ onUse: addColumn, onUploaded: showNew });
byId("jobs").addEventListener("click", () => openJobsDialog(showNew));
watchKey(() => void loadNames());
void loadNames();
