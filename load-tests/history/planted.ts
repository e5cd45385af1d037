/** Planted faults, by which one sees that the checker finds them. They stand between client and server. */
import type { Send } from "./recorder.ts";

export const PLANTED = ["wrong-row", "stale", "lost-write"] as const;
export type Planted = (typeof PLANTED)[number];

/** One request of so many meets the fault. */
const EVERY = 12;

export function withPlanted(send: Send, fault: Planted | null): Send {
  let number = 0;
  const remembered = new Map<string, string>();
  return async (path, init) => {
    const { method = "GET" } = init;
    const isHit = number++ % EVERY === 0;
    if (fault === "wrong-row" && isHit && path === "/v1/completions") {
      const asked = JSON.parse(init.body as string) as { readonly model: string };
      // Another name of the same tenant answers.
      const other = `a${Number(asked.model.slice(1)) === 0 ? 1 : 0}`;
      return await send(path, { ...init, body: JSON.stringify({ ...asked, model: other }) });
    }
    if (fault === "lost-write" && isHit && method === "PUT") return new Response("{}", { status: 200 });
    if (fault !== "stale" || method !== "GET" || !path.startsWith("/v1/adapters/")) return await send(path, init);
    const key = `${path} ${JSON.stringify(init.headers)}`;
    const earlier = remembered.get(key);
    if (earlier !== undefined) return new Response(earlier, { status: 200 });
    const answer = await send(path, init);
    const text = await answer.text();
    if (answer.ok) remembered.set(key, text);
    return new Response(text, { status: answer.status });
  };
}
