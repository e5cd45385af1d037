/** One server that is sent bad input: after each test, what was there is there, nothing else is, and it answers. */
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { type Manifest, readManifest } from "../../src/base/manifest.ts";
import { decodeBounded, encode } from "../../src/formats/msgpack.ts";
import { adapterFile } from "./models/base-adapters.ts";
import { builtBase } from "./models/bases.ts";
import { llamaCheckpoint } from "./models/golden-base.ts";
import {
  type Answer,
  complete,
  metric,
  putAdapter,
  send,
  startServer,
  tempDir,
  type TestServer,
  untilIdle,
} from "./server.ts";

export const MAX_ADAPTER_BYTES = 64_000;

export let server: TestServer;

export let manifest: Manifest;

let base: string;

export let good: Uint8Array;

/** The file in the --adapters directory. */
let shipped: Uint8Array;

export let adapters: string;

const data = tempDir();

const sockets: Socket[] = [];

const open = (): Promise<TestServer> =>
  startServer(
    ["--model", base, "--served-model-name", "base", "--data", data, "--adapters", adapters].concat([
      "--max-adapter-bytes",
      String(MAX_ADAPTER_BYTES),
    ]),
  );

export type Fields = Record<string, unknown>;

/** The good file with something changed that our own encoder would refuse to write. */
export function changed(
  change: (file: Fields, firstTarget: Fields, tensors: Record<string, Fields>) => void,
): Uint8Array {
  const limits = { maxBytes: 1e6, maxDepth: 16, maxItems: 1e6 };
  const file = decodeBounded(good.slice(), limits) as Fields;
  const [target] = file.targets as [Fields];
  change(file, target, target.tensors as Record<string, Fields>);
  return encode(file);
}

/**
 * A request whose path and body reach the server as they are, unlike with fetch. `chunks` are sent without a length.
 */
export function sendRaw(
  method: string,
  path: string,
  { headers = {}, chunks = [] }: { headers?: Record<string, string | number>; chunks?: Uint8Array[] } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers }, (response) => {
      let text = "";
      response.on("data", (part: Buffer) => (text += part.toString()));
      response.on("error", reject);
      response.on("end", () => {
        const json = (text.startsWith("{") ? JSON.parse(text) : null) as Record<string, unknown>;
        resolve({ status: response.statusCode ?? 0, json, text, headers: new Headers() });
        sent.destroy();
      });
    });
    sent.on("error", reject);
    for (const chunk of chunks) sent.write(chunk);
    // With a length announced the rest never comes: the answer must not wait for it.
    if (headers["content-length"] === undefined) sent.end();
    else sent.flushHeaders();
  });
}

/** A connection that has sent this much of a request. */
export function sendPart(text: string): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.write(text, () => resolve(socket));
  });
}

/** A new process on the same data. */
export async function restart(): Promise<void> {
  server = await open();
}

/** One server for all tests of a file. */
export function useServer(): void {
  beforeAll(async () => {
    base = await builtBase(llamaCheckpoint());
    manifest = await readManifest(base);
    good = adapterFile(manifest, { seed: 1 });
    shipped = adapterFile(manifest, { seed: 2 });
    adapters = tempDir();
    writeFileSync(join(adapters, "shipped.mosara"), shipped);
    server = await open();
    expect((await putAdapter(server.url, "good", good)).status).toBe(201);
  });
  /** Whatever was sent: what was there is there, nothing else is, and it answers. */
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    const { json } = await send<{ data: { id: string; generation: string }[] }>(`${server.url}/v1/adapters`, "GET");
    expect(json.data.map(({ id }) => id)).toEqual(["good", "shipped"]);
    expect(json.data[0]?.generation).toBe(generationOf(good));
    const content = await fetch(`${server.url}/v1/adapters/good/content`);
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(good);
    expect(await metric(server.url, 'mosara_adapter_bytes{tier="store"}')).toBe(good.length + shipped.length);
    expect((await complete(server.url, { model: "good", prompt: [5], max_tokens: 2 })).status).toBe(200);
    await untilIdle(server.url);
  });
  afterAll(() => server[Symbol.asyncDispose]());
}
