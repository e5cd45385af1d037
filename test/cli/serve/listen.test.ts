import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listen, type Listener } from "../../../src/cli/serve/listen.ts";
import { createTestApp, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
let listener: Listener;
beforeEach(async () => {
  test = await createTestApp({ stepMs: 5 });
  listener = await listen(test.app, { host: "127.0.0.1", port: 0, certificate: null });
});
afterEach(async () => {
  await listener.close();
  await test[Symbol.asyncDispose]();
});

const raw = (text: string) =>
  new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(listener.url).port), "127.0.0.1", () => socket.end(text));
    let answer = "";
    socket.on("data", (data) => (answer += data.toString()));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });

describe("the port", () => {
  it("answers what makes no URL with an error like any other", async () => {
    for (const line of [
      "GET /\\ HTTP/1.1\r\nhost: x",
      "GET / HTTP/1.1\r\nhost: a b c",
      "GET / HTTP/1.1\r\nhost: x/y@z",
    ]) {
      const answer = await raw(`${line}\r\nconnection: close\r\n\r\n`);
      expect([line, answer.slice(0, 12)]).toEqual([line, "HTTP/1.1 400"]);
      expect(answer).toContain('"code":"invalid_request"');
      expect(answer).toMatch(/x-request-id: /i);
    }
    expect((await fetch(`${listener.url}/healthz`)).status).toBe(200);
  });

  it("answers HTTP/1.0 without a Host header, as load balancers send it", async () => {
    for (const [line, status] of [
      ["OPTIONS / HTTP/1.0", "204"],
      ["OPTIONS * HTTP/1.0", "204"],
      ["OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close", "204"], // HAProxy's documentation of httpchk
      ["GET /healthz HTTP/1.0", "200"],
      ["GET /v1/models HTTP/1.0", "200"],
      ["HEAD / HTTP/1.0", "200"],
    ] as const)
      expect([line, (await raw(`${line}\r\n\r\n`)).slice(0, 12)]).toEqual([line, `HTTP/1.1 ${status}`]);
    expect((await raw("GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n")).slice(0, 12)).toBe("HTTP/1.1 400");
  });

  it("is reported in words when it is taken", async () => {
    const port = Number(new URL(listener.url).port);
    await expect(listen(test.app, { host: "127.0.0.1", port, certificate: null })).rejects.toMatchObject({
      code: "usage",
    });
  });

  it("closes when answers under way have left, without waiting for idle connections", async () => {
    const answer = await fetch(`${listener.url}/v1/completions`, {
      method: "POST",
      body: '{"model":"base","prompt":"x","max_tokens":20,"stream":true}',
    });
    const startedAt = performance.now();
    const closed = listener.close();
    expect(await answer.text()).toMatch(/\[DONE\]\n\n$/);
    await closed;
    expect(performance.now() - startedAt).toBeLessThan(1500);
  });
});
