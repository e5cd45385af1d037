/** The API reference, made in the page from the server's own OpenAPI document. */
import { byId, errorBox, h } from "../app/dom.js";
import { idOf, methodBadge, routeSection } from "./operation.js";

/**
 * @typedef {import("./operation.js").Operation} Operation
 * @typedef {import("./operation.js").Route} Route
 * @typedef {{status: number, meaning: string, remedy: string}} ErrorRow
 * @typedef {{info: {version: string}, paths: Record<string, Record<string, Operation>>,
 *   components: {schemas: import("./schema.js").Schemas}, "x-errors": Record<string, ErrorRow>}} OpenApi
 */

const ROOT = new URL("../../", import.meta.url);
const find = byId("find", HTMLInputElement);

/** @param {OpenApi} api */
function show(api) {
  const routes = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  const tags = [...new Set(routes.flatMap(({ operation }) => operation.tags ?? []))].filter((tag) => tag !== "Pages");
  const origin = ROOT.href.replace(/\/$/, "");
  byId("origin").textContent = origin;
  const groups = tags.map((tag) => ({ tag, own: routes.filter(({ operation }) => operation.tags?.includes(tag)) }));
  const sections = groups.map(({ tag, own }) =>
    h(
      "section",
      { class: "group" },
      h("h3", {}, tag),
      ...own.map((one) => routeSection(one, api.components.schemas, origin)),
    ),
  );
  byId("routes").replaceChildren(...sections, errorTable(api["x-errors"]));
  byId("contents").replaceChildren(...groups.map(({ tag, own }) => contentsOf(tag, own)), contentsOfErrors());
  find.addEventListener("input", () => {
    filter();
    byId("content").scrollTop = 0;
  });
  filter();
  if (location.hash !== "") document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/**
 * @param {string} tag
 * @param {readonly Route[]} routes
 */
function contentsOf(tag, routes) {
  const items = routes.map((route) => {
    const link = h(
      "a",
      { href: `#${idOf(route)}` },
      methodBadge(route.method),
      h("span", {}, ...breakable(route.path)),
    );
    return h("li", { "data-route": idOf(route) }, link);
  });
  return h("div", { class: "tag" }, h("h2", {}, tag), h("ul", {}, ...items));
}

/**
 * The path, which may be broken after each slash.
 * @param {string} path
 */
const breakable = (path) => path.split(/(?<=\/)/).flatMap((part) => [part, h("wbr")]);

function contentsOfErrors() {
  return h(
    "div",
    { class: "tag" },
    h("h2", {}, "Errors"),
    h("ul", {}, h("li", {}, h("a", { href: "#errors" }, "Codes"))),
  );
}

/** @param {Record<string, ErrorRow>} errors by their codes */
function errorTable(errors) {
  const rows = Object.entries(errors).map(([code, { status, meaning, remedy }]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("code", {}, code)),
      h("td", {}, String(status)),
      h("td", {}, meaning.replaceAll("`", "")),
      h("td", {}, remedy.replaceAll("`", "")),
    ),
  );
  const titles = ["Code", "Status", "Meaning", "Remedy"].map((title) => h("th", { scope: "col" }, title));
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...titles)), h("tbody", {}, ...rows));
  const scroller = h("div", { class: "wide-table", tabindex: 0, role: "region", "aria-labelledby": "errors" }, table);
  return h("section", { class: "group" }, h("h3", { id: "errors" }, "Errors"), scroller);
}

/** Shows the routes whose path, summary or fields have the text, and opens the parts that hide a field of that name. */
function filter() {
  const wanted = find.value.trim().toLowerCase();
  let numFound = 0;
  for (const item of byId("contents").querySelectorAll("[data-route]")) {
    const section = document.getElementById(item.getAttribute("data-route") ?? "");
    if (!(item instanceof HTMLElement) || !section) continue;
    const names = [...section.querySelectorAll("[data-field]")];
    const hits = wanted === "" ? [] : names.filter((one) => one.getAttribute("data-field")?.includes(wanted));
    const heading = section.querySelector(".text")?.firstElementChild?.textContent?.toLowerCase() ?? "";
    const summary = section.querySelector("p")?.textContent?.toLowerCase() ?? "";
    const isFound = hits.length > 0 || heading.includes(wanted) || summary.includes(wanted);
    item.hidden = section.hidden = !isFound;
    numFound += isFound ? 1 : 0;
    for (const one of names) one.classList.toggle("hit", hits.includes(one));
    for (const one of hits) openAround(one);
  }
  for (const group of document.querySelectorAll(".tag, .group"))
    if (group instanceof HTMLElement && group.querySelector("[data-route], .route"))
      group.hidden = !group.querySelector("[data-route]:not([hidden]), .route:not([hidden])");
  byId("found").textContent = wanted === "" ? "" : `${numFound} ${numFound === 1 ? "route has" : "routes have"} it`;
}

/** @param {Element} element */
function openAround(element) {
  for (let at = element.closest("details"); at; at = at.parentElement?.closest("details") ?? null) at.open = true;
}

try {
  const response = await fetch(new URL("openapi.json", ROOT));
  if (!response.ok) throw new Error(`The OpenAPI document cannot be read: status ${response.status}.`);
  show(await response.json());
} catch (error) {
  byId("routes").replaceChildren(errorBox(error));
}
