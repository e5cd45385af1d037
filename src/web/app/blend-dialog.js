/** Chooses two adapters for a blend. */
import { ApiError, getAdapter } from "./api.js";
import { errorBox, h, openDialog } from "./dom.js";
import { blendSlider } from "./heads.js";

const MAX_SUGGESTED = 50;

/**
 * @param {import("./picker.js").Picker} picker
 * @param {(source: import("./columns.js").BlendSource) => void} onChoose
 */
export function openBlendDialog(picker, onChoose) {
  const [first, second] = [nameField("first", "First adapter", picker), nameField("second", "Second adapter", picker)];
  const place = h("div", { class: "place" });
  const problem = h("div", {});
  /** @type {import("./columns.js").BlendSource} */
  const source = { kind: "blend", names: ["", ""], percent: 50 };
  const update = () => {
    source.names = [first.input.value.trim(), second.input.value.trim()];
    place.replaceChildren(...(source.names.every((name) => name !== "") ? [blendSlider(source)] : []));
  };
  const form = h(
    "form",
    { oninput: (event) => event.target.type !== "range" && update() },
    h("p", {}, "The sum of both, each times its weight. Adapters with one head can be blended."),
    h("div", { class: "pair" }, first.element, second.element),
    place,
    problem,
    h("p", { class: "actions" }, h("button", { class: "primary" }, "Add the column")),
  );
  const dialog = openDialog("Blend two adapters", form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    checkNames(source.names).then(
      () => {
        dialog.close();
        onChoose(source);
      },
      (error) => problem.replaceChildren(errorBox(error)),
    );
  });
}

/**
 * A field that suggests names.
 * @param {string} id
 * @param {string} label
 * @param {import("./picker.js").Picker} picker
 */
function nameField(id, label, picker) {
  const options = h("datalist", { id: `${id}-names` });
  const suggest = () => {
    const names = picker.matches(input.value).filter((name) => name !== picker.base);
    options.replaceChildren(...names.slice(0, MAX_SUGGESTED).map((value) => h("option", { value })));
  };
  const attributes = {
    id,
    list: `${id}-names`,
    required: true,
    autofocus: id === "first",
    autocomplete: "off",
    spellcheck: "false",
  };
  const input = h("input", { ...attributes, placeholder: "Name", oninput: suggest });
  suggest();
  return { input, element: h("p", {}, h("label", { for: id }, label), input, options) };
}

/** @param {readonly [string, string]} names */
async function checkNames([first, second]) {
  if (first === second) throw new ApiError("A blend needs two different adapters. Both fields have the same name.");
  for (const name of [first, second]) {
    const { heads } = await getAdapter(name);
    if (heads > 1) throw new ApiError(`${name} has ${heads} heads. Choose an adapter with one head.`);
  }
}
