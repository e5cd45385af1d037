/** Bad input over HTTP: the documented code for each, and the server continues with nothing half-written. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { noise } from "../helpers/models/checkpoints.ts";
import { codeOf, complete, sendAdapter, send, tempDir } from "../helpers/server.ts";
import {
  MAX_ADAPTER_BYTES,
  server,
  manifest,
  good,
  adapters,
  type Fields,
  changed,
  sendRaw,
  sendPart,
  restart,
  useServer,
} from "../helpers/bad-input-server.ts";
import { describeBodies } from "./bad-bodies.ts";

useServer();

describe("an adapter file", () => {
  const put = async (bytes: Uint8Array): Promise<string> => {
    const codes = [
      codeOf(await sendAdapter(server.url, "fresh", bytes)),
      codeOf(await sendAdapter(server.url, "good", bytes)),
    ];
    const inline = { data: Buffer.from(bytes).toString("base64") };
    codes.push(codeOf(await complete(server.url, { model: "base", adapter: inline, prompt: [5], max_tokens: 1 })));
    expect(new Set(codes).size, codes.join()).toBe(1);
    return codes[0] ?? "";
  };

  it("that is cut off or too long is invalid", async () => {
    for (const length of [0, 1, 20, Math.floor(good.length / 2), good.length - 1])
      expect([length, await put(good.slice(0, length))]).toEqual([length, "400 adapter_invalid"]);
    for (const rest of [Uint8Array.of(0), good])
      expect(await put(Buffer.concat([good, rest]))).toBe("400 adapter_invalid");
  });

  it("with a flipped bit is another adapter or refused, and never breaks anything", async () => {
    const next = noise(3);
    const seen = new Set<string>();
    for (let i = 0; i < 150; i++) {
      const bytes = good.slice();
      const bit = Math.floor(((next() + 1) / 2) * (i < 75 ? 1500 : bytes.length * 8));
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const answer = await sendAdapter(server.url, "flipped", bytes);
      if (answer.status === 201) {
        expect(answer.json.generation).toBe(generationOf(bytes));
        expect(() => decodeAdapter(bytes)).not.toThrow();
        const used = await complete(server.url, { model: "flipped", prompt: [5], max_tokens: 2 });
        expect([200, 500]).toContain(used.status); // a huge gain may overflow the model, which fails that answer alone
        await send(`${server.url}/v1/adapters/flipped`, "DELETE");
      }
      seen.add(codeOf(answer));
    }
    expect([...seen].sort()).toEqual(["201", "400 adapter_incompatible", "400 adapter_invalid"]);
  });

  it("of another base, basis or layer names both sides", async () => {
    const other = "0123456789abcdef".repeat(4);
    const { dIn } = manifest.targets[0]!; // the adapter has them all
    const wrong: [Uint8Array, string[]][] = [
      [changed((file) => (file.baseId = other)), [other, manifest.baseId]],
      [changed((_, target) => (target.basisId = other)), [other, manifest.targets[0]?.basisId ?? "?"]],
      [changed((_, target) => (target.name = "layers.77.self_attn.q_proj")), ["layers.77.self_attn.q_proj"]],
      [changed((_, target) => (target.dIn = dIn + 1)), [`${dIn}`, `${dIn + 1}`]],
    ];
    for (const [bytes, names] of wrong) {
      expect(await put(bytes)).toBe("400 adapter_incompatible");
      const { json } = await sendAdapter(server.url, "fresh", bytes);
      for (const name of names) expect((json.error as { message: string }).message).toContain(name);
    }
  });

  it("with numbers or shapes that make no sense is invalid", async () => {
    const nan = Buffer.from(Float32Array.of(NaN, Infinity).buffer);
    const wrong = [
      changed((_, __, tensors) => nan.copy(tensors.lambda?.data as Uint8Array)),
      changed((_, __, tensors) => nan.copy(tensors.v?.data as Uint8Array, 4, 4)),
      changed((_, __, { lambda }) => ((lambda as Fields).shape = [2, 3])),
      changed((_, __, { lambda }) => ((lambda as Fields).shape = [2 ** 31, 2 ** 31])),
      changed((_, __, { lambda }) => ((lambda as Fields).data = new Uint8Array(4))),
      changed((_, __, { lambda }) => ((lambda as Fields).dtype = "float64")),
      changed((_, __, tensors) => delete tensors.v),
      changed((_, target) => (target.k = 0)),
      changed((_, target) => (target.k = -1)),
      changed((file) => (file.heads = 2)),
      changed((file) => (file.method = "magic")),
      changed((file) => (file.version = 2)),
      changed((file) => (file.targets = [])),
      changed((file) => (file.surprise = 1)),
      changed((file) => (file.targets as unknown[]).push((file.targets as unknown[])[0])),
    ];
    for (const [i, bytes] of wrong.entries()) expect([i, await put(bytes)]).toEqual([i, "400 adapter_invalid"]);
  });

  it("that is too large is refused, announced or not, in a body or in a request", async () => {
    const path = "/v1/adapters/fresh";
    const large = new Uint8Array(MAX_ADAPTER_BYTES + 1);
    expect(codeOf(await sendRaw("PUT", path, { headers: { "content-length": 2 ** 40 } }))).toBe(
      "413 adapter_too_large",
    );
    expect(codeOf(await sendRaw("PUT", path, { chunks: [large] }))).toBe("413 adapter_too_large");
    expect(codeOf(await sendAdapter(server.url, "fresh", large))).toBe("413 adapter_too_large");
    const inline = { data: Buffer.from(large).toString("base64") };
    expect(codeOf(await complete(server.url, { model: "base", adapter: inline, prompt: [5] }))).toBe(
      "413 adapter_too_large",
    );
  });

  it("whose upload breaks off leaves nothing behind", async () => {
    const head = (path: string) => `PUT ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${good.length}\r\n\r\n`;
    for (const name of ["fresh", "good"]) {
      const socket = await sendPart(head(`/v1/adapters/${name}`));
      await new Promise<void>((resolve) => socket.write(good.subarray(0, 100), () => resolve()));
      socket.resetAndDestroy();
    }
  });
});

describe("a name", () => {
  it("that is none is refused wherever it is given", async () => {
    const names = [
      "..",
      "a..b",
      ".hidden",
      "-x",
      "a%2Fb",
      "..%2F..%2Fetc",
      "%00",
      "a%00b",
      "a%20b",
      "%E4%B8%AD",
      "%ff",
      "x".repeat(129),
    ];
    for (const name of names)
      for (const method of ["PUT", "GET", "DELETE"])
        for (const rest of method === "GET" ? ["", "/content"] : [""]) {
          const answer = await sendRaw(
            method,
            `/v1/adapters/${name}${rest}`,
            method === "PUT" ? { chunks: [good] } : {},
          );
          expect(["400 invalid_request", "404 not_found"], `${method} ${name}${rest}`).toContain(codeOf(answer));
        }
    for (const path of ["/v1/adapters/../../etc/passwd", "/v1/adapters//x", "/v1/adapters/x/../good/content/.."])
      expect((await sendRaw("GET", path)).status, path).toBe(404);
    expect(codeOf(await sendAdapter(server.url, "base", good))).toBe("400 invalid_request");
  });

  it("that nobody has is not found, in each of its spellings", async () => {
    const ask = async (body: object) => codeOf(await complete(server.url, { prompt: [5], max_tokens: 1, ...body }));
    expect(await ask({ model: "nobody" })).toBe("404 model_not_found");
    expect(await ask({ model: "base:nobody" })).toBe("404 adapter_not_found");
    expect(await ask({ model: "base", adapter: "nobody" })).toBe("404 adapter_not_found");
    expect(await ask({ model: "base:../good" })).toBe("404 adapter_not_found");
    expect(await ask({ model: "__proto__" })).toBe("404 model_not_found");
    expect(await ask({ model: "good", adapter: "shipped" })).toBe("400 invalid_request");
    expect(codeOf(await send(`${server.url}/v1/models/nobody`, "GET"))).toBe("404 model_not_found");
    for (const method of ["GET", "DELETE"])
      expect(codeOf(await send(`${server.url}/v1/adapters/nobody`, method))).toBe("404 adapter_not_found");
  });
});

describe("the path of load_lora_adapter", () => {
  it("leads nowhere but into the adapters directory", async () => {
    const outside = join(tempDir(), "secret.mosara");
    writeFileSync(outside, good);
    symlinkSync(outside, join(adapters, "link.mosara"));
    mkdirSync(join(adapters, "folder"), { recursive: true });
    writeFileSync(join(adapters, "folder", "broken.bin"), good.subarray(0, 50));
    const load = async (lora_path: string, lora_name = "fresh") =>
      codeOf(await send(`${server.url}/v1/load_lora_adapter`, "POST", { lora_name, lora_path }));
    for (const path of [outside, "/etc/passwd", "../secret.mosara", "folder/../../x", "link.mosara", ".", "..", "a\0b"])
      expect([path, await load(path)]).toEqual([path, "400 invalid_request"]);
    expect(await load("folder")).toBe("400 invalid_request");
    expect(await load("missing.mosara")).toBe("404 adapter_not_found");
    expect(await load("folder/broken.bin")).toBe("400 adapter_invalid");
    expect(await load("shipped.mosara", "../x")).toBe("400 invalid_request");
    expect(await load("shipped.mosara", "good")).toBe("400 invalid_request");
    expect(await load("shipped.mosara", "base")).toBe("400 invalid_request");
  });
});

describeBodies();

describe("half a request", () => {
  it("holds up nobody else", async () => {
    for (let i = 0; i < 50; i++) {
      await sendPart("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-le");
      await sendPart('POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"model":');
      await sendPart(`PUT /v1/adapters/fresh HTTP/1.1\r\nhost: x\r\ncontent-length: ${good.length}\r\n\r\n`);
    }
    const startedAt = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => complete(server.url, { model: "good", prompt: [5], max_tokens: 5 })),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});

it("after all of it a new process finds the same store", async () => {
  expect(server.printed.stderr.split("\n").filter((line) => line.includes('"level":"error"')).length).toBeLessThan(20);
  expect(await server.stop()).toBe(0);
  await restart();
});
