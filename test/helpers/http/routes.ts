/** The routes of an application under test, and the errors they answer. */
import type { App } from "../../../src/http/app.ts";

export interface ErrorAnswer {
  error: { code: string; message: string; type: string; param: string | null };
}

export const codeOf = async (response: Response) => ((await response.json()) as ErrorAnswer).error.code;

/** Every path and method there is, as the application itself reports. */
export function routesOf({ routes }: App): [method: string, path: string][] {
  const own = routes.filter(({ method, path }) => method !== "ALL" && path !== "/*");
  return own.map(({ method, path }) => [method, path.replace(/:\w+(\{[^}]*\})?/, "acme")]);
}
