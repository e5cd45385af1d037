/** Servers of a test that share a store. Each has a store of its own for copies. */
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import type { ObjectStore } from "../../../src/object-store/object-store.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../http-app.ts";

export interface ErrorAnswer {
  readonly error: { readonly code: string };
}

/** Generation of `fittingAdapter(seed)`. */
export const hash = (seed: number): string => generationOf(fittingAdapter(seed));

export class SharingServers implements AsyncDisposable {
  readonly #open: TestApp[] = [];

  /** A server on this store. */
  async join(objects: ObjectStore, options: TestAppOptions = {}): Promise<TestApp> {
    const app = await createTestApp({ keepGenerations: 3, objects, ...options });
    this.#open.push(app);
    return app;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const app of this.#open.splice(0)) await app[Symbol.asyncDispose]();
  }
}

export async function ask(app: TestApp, model: string) {
  const answer = await app.post("/v1/completions", { model, prompt: "a", max_tokens: 1 });
  return {
    status: answer.status,
    adapter: answer.headers.get("x-mosara-adapter"),
    body: (await answer.json()) as ErrorAnswer,
  };
}

export async function generation({ app }: TestApp, name: string): Promise<string | undefined> {
  return ((await (await app.request(`/v1/adapters/${name}`)).json()) as { generation?: string }).generation;
}

export async function names({ app }: TestApp): Promise<readonly string[]> {
  const list = (await (await app.request("/v1/adapters")).json()) as { data: { id: string }[] };
  return list.data.map(({ id }) => id);
}

/** @param path of an alias, such as `live` or `live/promote`. @returns code: of the error, if it is one */
export async function sendAlias(
  { app }: TestApp,
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
) {
  const answer = await app.request(`/v1/aliases/${path}`, {
    method,
    headers: { "content-type": "application/json", ...headers },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const { error } = (await answer.json()) as Partial<ErrorAnswer>;
  return { status: answer.status, etag: answer.headers.get("etag") ?? "", code: error?.code };
}
