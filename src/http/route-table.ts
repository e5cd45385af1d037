/**
 * The paths of the server as data: which methods a path answers, and which route is closest to a mistaken path. Knows
 * no handlers.
 */
import { closestName } from "../fields/closest-name.ts";
import type { Route } from "./route.ts";

interface Entry {
  readonly pattern: RegExp;
  readonly methods: readonly string[];
}

export class RouteTable {
  readonly #entries: readonly Entry[];
  /** The paths without parameters. */
  readonly #fixedPaths: readonly string[];

  constructor(routes: readonly Pick<Route, "method" | "path">[]) {
    const paths = [...new Set(routes.map(({ path }) => path))];
    this.#fixedPaths = paths.filter((path) => !path.includes(":"));
    this.#entries = paths.map((path) => {
      const methods = routes.filter((route) => route.path === path).map(({ method }) => method.toUpperCase());
      return { pattern: patternOf(path), methods: [...methods, ...(methods.includes("GET") ? ["HEAD"] : [])] };
    });
  }

  /** The methods that a path answers; none where there is no such path. */
  methodsOf(path: string): readonly string[] {
    return this.#entries.find(({ pattern }) => pattern.test(path))?.methods ?? [];
  }

  /**
   * The route that is closest to a path, such as `POST /v1/chat/completions`; undefined where no route is close.
   * The path may be misspelt, or have a slash or a `/v1` too many or too few.
   */
  nearestTo(method: string, path: string): string | undefined {
    const known = spellingsOf(path).filter((spelling) => spelling !== path && this.methodsOf(spelling).length > 0);
    const fitting = known.find((spelling) => this.methodsOf(spelling).includes(method));
    if (fitting !== undefined) return `${method} ${fitting}`;
    const meant = known[0] ?? closestName(path, this.#fixedPaths);
    return meant === undefined ? undefined : `${this.methodsOf(meant).join(" or ")} ${meant}`;
  }
}

/** Hono's `/v1/models/:id{.+}` as an expression. */
function patternOf(path: string): RegExp {
  const parts = path.split("/").map((part) => {
    const parameter = /^:\w+(?:\{(.*)\})?$/.exec(part);
    return parameter ? (parameter[1] ?? "[^/]+") : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${parts.join("/")}$`);
}

/** Paths that the caller may have meant, the smallest change first. */
function spellingsOf(path: string): string[] {
  const clean = path.replace(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
  const lower = clean.toLowerCase();
  return [clean, lower].flatMap((spelling) => {
    const bare = spelling.replace(/^(\/v1)+(?=\/|$)/, "");
    return [spelling, `/v1${bare}`, bare, spelling.replace(/^\/.*?(?=\/v1\/)/, "")];
  });
}
