/** An S3 of a test: SeaweedFS on free ports, behind a proxy that can be made to fail. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AwsClient } from "aws4fetch";
import { startSeaweed } from "../../../load-tests/processes/seaweed.ts";
import { RequestPolicy } from "../../../src/object-store/request-policy.ts";
import { S3Objects } from "../../../src/object-store/s3-objects.ts";
import { s3Settings } from "../../../src/object-store/s3-settings.ts";
import { hasProgram } from "./programs.ts";
import { tempDir } from "../server.ts";

/** What to skip without SeaweedFS. Says so on stderr. */
export const hasSeaweed = (what: string): boolean => hasProgram("weed", what);

/** Tests have few objects. */
const SIZE = { maxVolumes: 4, volumeMB: 64 };

/**
 * What the proxy does with a request. corrupt: the last byte of the answer is wrong. cut: the connection ends in the
 * middle of the answer. silent: no answer. refuse: the connection breaks. unconditional: conditions of writes are
 * ignored.
 */
export type Fault = "pass" | "corrupt" | "cut" | "silent" | "refuse" | "unconditional";

export interface TestBucket extends AsyncDisposable {
  /** The variables that a server needs. */
  readonly env: Readonly<Record<string, string>>;
  /** Decides about each request, by its method and key. */
  fault: (method: string, key: string) => Fault;
  /** Requests since they were last taken, such as `GET names/default/a`, without the prefix. */
  takeRequests(): string[];
  /** The address of a prefix of its own. */
  newUrl(): string;
  objectsAt(url: string, timeoutMs?: number): S3Objects;
}

export async function startBucket(): Promise<TestBucket> {
  const seaweed = await startSeaweed(tempDir(), SIZE);
  const { endpoint: direct, credentials } = seaweed;
  const client = new AwsClient({ ...credentials, service: "s3", region: "us-east-1", retries: 0 });
  const requests: string[] = [];
  const proxy = createServer((incoming, outgoing) => {
    const { method = "", url = "" } = incoming;
    const key = decodeURIComponent(new URL(url, direct).pathname).replace(/^\/[^/]+\/run-\d+\//, "");
    requests.push(`${method} ${key}`);
    void pass({ incoming, outgoing, direct, client }, bucket.fault(method, key));
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const env = {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: "us-east-1",
  };
  let numRuns = 0;
  const bucket: TestBucket = {
    env,
    fault: () => "pass",
    takeRequests: () => requests.splice(0),
    newUrl: () => `s3://${seaweed.bucket}/run-${++numRuns}`,
    objectsAt: (url, timeoutMs = 30_000) => new S3Objects(s3Settings(url, env), new RequestPolicy(url, { timeoutMs })),
    [Symbol.asyncDispose]: async () => {
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
      await seaweed[Symbol.asyncDispose]();
    },
  };
  return bucket;
}

interface Passage {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly direct: string;
  readonly client: AwsClient;
}

async function pass(passage: Passage, fault: Fault): Promise<void> {
  const { incoming, outgoing, direct, client } = passage;
  if (fault === "silent") return void incoming.resume();
  if (fault === "refuse") return void incoming.destroy();
  const body = Buffer.concat(await incoming.toArray());
  if (fault === "unconditional") {
    // The signature covers the conditions, so the request is signed anew without them.
    const { method = "" } = incoming;
    const signed = { method, ...(method === "PUT" ? { body } : {}) };
    const answer = await client.fetch(`${direct}${incoming.url}`, signed);
    outgoing.writeHead(answer.status, [...answer.headers].flat());
    return void outgoing.end(Buffer.from(await answer.arrayBuffer()));
  }
  const { method, headers, url } = incoming;
  const onward = request(`${direct}${url}`, { method, headers }, (answer) => void relay(answer, outgoing, fault));
  onward.on("error", () => outgoing.destroy());
  onward.end(body);
}

async function relay(answer: IncomingMessage, outgoing: ServerResponse, fault: Fault): Promise<void> {
  const bytes = Buffer.concat(await answer.toArray());
  if (fault === "corrupt" && bytes.length > 0) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
  if (fault !== "cut") return void outgoing.end(bytes);
  outgoing.write(bytes.subarray(0, bytes.length / 2), () => outgoing.destroy());
}
