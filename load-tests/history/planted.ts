/** Planted faults, by which one sees that the checker finds them. They stand between client and server. */
import type { Send } from "./connection.ts";

export const PLANTED = ["wrong-row", "stale", "lost-write"] as const;
export type Planted = (typeof PLANTED)[number];

/** One request of so many meets the fault. */
const EVERY = 12;

export function withPlanted(send: Send, fault: Planted | null): Send {
  let number = 0;
  const remembered = new Map<string, string>();
  return async (path, sent) => {
    const { method = "GET", key } = sent;
    const isHit = number++ % EVERY === 0;
    if (fault === "wrong-row" && isHit && path === "/v1/completions") {
      const asked = JSON.parse(sent.body as string) as { readonly model: string };
      // Another name of the same tenant answers.
      const other = `a${Number(asked.model.slice(1)) === 0 ? 1 : 0}`;
      return await send(path, { ...sent, body: JSON.stringify({ ...asked, model: other }) });
    }
    if (fault === "lost-write" && isHit && method === "PUT") return { status: 200, text: "{}" };
    if (fault !== "stale" || method !== "GET" || !path.startsWith("/v1/adapters/")) return await send(path, sent);
    const question = `${path} ${key}`;
    const earlier = remembered.get(question);
    if (earlier !== undefined) return { status: 200, text: earlier };
    const answer = await send(path, sent);
    if (answer.status === 200) remembered.set(question, answer.text);
    return answer;
  };
}
