/** One route of the reference: what it does, what it accepts and answers, and examples to copy. */
import { h } from "../app/dom.js";
import { examplesOf } from "./examples.js";
import { fieldList, resolve, typeText } from "./schema.js";

/**
 * @typedef {import("./schema.js").Schema} Schema
 * @typedef {import("./schema.js").Schemas} Schemas
 * @typedef {Record<string, {schema?: Schema, example?: Record<string, unknown>}>} Content
 * @typedef {{name: string, in: string, required?: boolean, description?: string, schema?: Schema}} Parameter
 * @typedef {object} Operation
 * @property {string} [summary]
 * @property {string[]} [tags]
 * @property {Parameter[]} [parameters]
 * @property {{content: Content}} [requestBody]
 * @property {Record<string, {description: string, content?: Content}>} responses
 * @typedef {{method: string, path: string, operation: Operation}} Route
 */

/** @param {Route} route */
export const idOf = ({ method, path }) => `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, "-")}`.replace(/-$/, "");

/** @param {string} method */
export const methodBadge = (method) => h("span", { class: `method ${method}` }, method.toUpperCase());

/**
 * @param {Route} route
 * @param {Schemas} schemas
 * @param {string} origin
 */
export function routeSection(route, schemas, origin) {
  const { method, path, operation } = route;
  const { summary = "", parameters = [], requestBody, responses } = operation;
  const id = idOf(route);
  const heading = h("h4", { id: `${id}-title` }, methodBadge(method), h("code", {}, path));
  const text = h(
    "div",
    { class: "text" },
    heading,
    h("p", {}, `${summary}.`),
    ...part(
      "Parameters",
      parameters.length === 0 ? null : h("ul", { class: "fields" }, ...parameters.map(parameterRow)),
    ),
    ...bodyParts(requestBody?.content ?? {}, schemas),
    ...part("Responses", h("ul", { class: "responses" }, ...responseRows(responses, schemas))),
  );
  const example = requestBody?.content["application/json"]?.example;
  const isUpload = requestBody?.content["application/octet-stream"] !== undefined;
  const examples = exampleBox(examplesOf(method, path, example, isUpload, origin), `${method.toUpperCase()} ${path}`);
  return h("section", { class: "route", id, "aria-labelledby": `${id}-title` }, text, examples);
}

/**
 * @param {string} title
 * @param {Node | null} content
 */
const part = (title, content) => (content === null ? [] : [h("h5", {}, title), content]);

/** @param {Parameter} parameter */
function parameterRow({ name, in: where, required = false, description, schema = {} }) {
  return h(
    "li",
    { "data-field": name },
    h(
      "p",
      {},
      h("code", { class: "field" }, name),
      h("span", { class: "type" }, `${typeText(schema)}, in the ${where}`),
      required ? h("span", { class: "required" }, "required") : null,
    ),
    description === undefined ? null : h("p", { class: "about" }, description),
  );
}

/**
 * @param {Content} content
 * @param {Schemas} schemas
 */
function bodyParts(content, schemas) {
  return Object.entries(content).flatMap(([type, { schema = {} }]) => {
    const list = fieldList(schema, schemas);
    const title = h("h5", {}, "Body ", h("code", {}, type));
    return [title, list ?? h("p", { class: "about" }, "The bytes of the file.")];
  });
}

/**
 * @param {Operation["responses"]} responses
 * @param {Schemas} schemas
 */
function responseRows(responses, schemas) {
  return Object.entries(responses).map(([status, { description, content = {} }]) => {
    if (status === "default")
      return h(
        "li",
        {},
        h("span", { class: "status bad" }, "4xx, 5xx"),
        "An ",
        h("a", { href: "#errors" }, "error"),
        ".",
      );
    const bodies = Object.entries(content).map(([type, { schema = {} }]) => {
      const list = fieldList(resolve(schema, schemas), schemas);
      const label = [h("code", {}, type), ` ${typeText(schema)}`];
      return list
        ? h("details", { class: "inner" }, h("summary", {}, ...label), list)
        : h("p", { class: "about" }, ...label);
    });
    return h("li", {}, h("span", { class: "status" }, status), description, ...bodies);
  });
}

/**
 * The examples, one at a time, with a button that copies the one in view.
 * @param {import("./examples.js").Example[]} examples
 * @param {string} label
 */
function exampleBox(examples, label) {
  const code = h("pre", { tabindex: 0, "aria-label": `Example of ${label}` });
  const tabs = examples.map(({ label: name, text }, index) => {
    const tab = h("button", { type: "button", "aria-pressed": String(index === 0) }, name);
    tab.addEventListener("click", () => {
      for (const one of tabs) one.setAttribute("aria-pressed", String(one === tab));
      code.textContent = text;
      copy.textContent = "Copy";
    });
    return tab;
  });
  const copy = h("button", { type: "button", class: "copy", "aria-label": `Copy the example of ${label}` }, "Copy");
  copy.addEventListener("click", () => {
    navigator.clipboard.writeText(code.textContent ?? "").then(
      () => (copy.textContent = "Copied"),
      () => (copy.textContent = "Not allowed"),
    );
  });
  code.textContent = examples[0]?.text ?? "";
  const choice = h("div", { class: "choice", role: "group", "aria-label": "Language of the example" }, ...tabs);
  return h("div", { class: "example" }, h("div", { class: "example-bar" }, choice, copy), code);
}
