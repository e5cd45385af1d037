/**
 * A small foreign OpenAI server whose delays are known: prefill and token times are given, tokens come one a chunk.
 * It handles any number of requests at once and records what it was asked. Not mosara: what is measured is the clients.
 */
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface ScriptedBody {
  readonly model: string;
  readonly prompt?: string | readonly number[];
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  readonly max_tokens: number;
  readonly [field: string]: unknown;
}

export interface Script {
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  /** Refuses requests for which it gives a status. */
  readonly refuse?: (body: ScriptedBody, index: number) => { readonly status: number; readonly code: string } | null;
  /** Ends streams without `[DONE]` after so many tokens. */
  readonly breakAfter?: number;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
  readonly bodies: readonly ScriptedBody[];
  readonly paths: readonly string[];
  /**
   * What really passed between the pieces, in milliseconds: timers are late on a busy machine. The first is since the
   * request.
   */
  readonly delays: readonly (readonly number[])[];
  /** The most requests that were open at once. */
  readonly mostAtOnce: () => number;
}

export async function startScripted(script: Script): Promise<ScriptedServer> {
  const bodies: ScriptedBody[] = [];
  const paths: string[] = [];
  const delays: number[][] = [];
  let open = 0;
  let most = 0;
  const server: Server = createServer((request, response) => {
    if (request.method !== "POST") return void response.writeHead(404).end();
    const receivedAt = performance.now();
    void (async () => {
      let text = "";
      for await (const part of request) text += String(part);
      const body = JSON.parse(text) as ScriptedBody;
      const refusal = script.refuse?.(body, bodies.length);
      bodies.push(body);
      paths.push(request.url ?? "");
      if (refusal) {
        response.writeHead(refusal.status, { "content-type": "application/json", "retry-after": "7" });
        response.end(JSON.stringify({ error: { message: "no", type: "x", param: null, code: refusal.code } }));
        return;
      }
      most = Math.max(most, ++open);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const isChat = body.messages !== undefined;
      const send = (value: unknown): boolean => response.write(`data: ${JSON.stringify(value)}\n\n`);
      if (isChat) send({ choices: [{ delta: { role: "assistant", content: "" } }] }); // no token yet
      const passed: number[] = [];
      delays.push(passed);
      let last = receivedAt;
      await sleep(script.firstTokenMs);
      for (let i = 0; i < Math.min(body.max_tokens, script.breakAfter ?? Infinity); i++) {
        if (i > 0) await sleep(script.tokenMs);
        passed.push(performance.now() - last);
        last = performance.now();
        send({ choices: [isChat ? { delta: { content: `t${i} ` } } : { text: `t${i} ` }] });
      }
      open--;
      if (script.breakAfter !== undefined) return void response.end();
      send({ choices: [], usage: { prompt_tokens: 3, completion_tokens: body.max_tokens } });
      response.end("data: [DONE]\n\n");
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    paths,
    delays,
    mostAtOnce: () => most,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
