/**
 * A bucket of SeaweedFS in the work folder, filled with names once. A fill that was stopped continues where it was, so
 * that a million names may take several runs.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import type { Manifest } from "../../../src/base/manifest.ts";
import { RequestPolicy } from "../../../src/object-store/request-policy.ts";
import { S3Objects } from "../../../src/object-store/s3-objects.ts";
import { s3Settings } from "../../../src/object-store/s3-settings.ts";
import { contentKey, encodePointer, pointerKey } from "../../../src/store/published/pointer.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { randomAdapter } from "../../inputs/random-adapter.ts";
import { type Seaweed, startSeaweed } from "../../processes/seaweed.ts";

/** A hundred thousand adapters of the demo need 3 GB. */
const OPTIONS = { maxVolumes: 100, volumeMB: 1024, isOpen: true };
/** Adapters whose numbers all differ. The others differ from one of them in one number. */
const NUM_DRAWN = 64;
/** Names that are written at a time. The progress is noted after so many. */
const AT_ONCE = 64;
const BLOCK = 1024;
const TIMEOUT_MS = 60_000;
/** All were made at once, as far as anybody can tell. */
const CREATED = 1_700_000_000;

export const adapterName = (i: number): string => `tenant-${String(i).padStart(7, "0")}`;

export class FilledBucket implements AsyncDisposable {
  readonly #seaweed: Seaweed;
  readonly #progressPath: string;
  readonly #note: (text: string) => void;

  /** @param folder keeps the bucket between runs */
  static async open(folder: string, note: (text: string) => void): Promise<FilledBucket> {
    return new FilledBucket(await startSeaweed(folder, OPTIONS), join(folder, "filled.json"), note);
  }

  private constructor(seaweed: Seaweed, progressPath: string, note: (text: string) => void) {
    this.#seaweed = seaweed;
    this.#progressPath = progressPath;
    this.#note = note;
  }

  /** Variables of a server that uses it. */
  get env(): Readonly<Record<string, string>> {
    const { endpoint, credentials } = this.#seaweed;
    return {
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: "us-east-1",
    };
  }

  urlOf(prefix: string): string {
    return `s3://${this.#seaweed.bucket}/${prefix}`;
  }

  objectsOf(prefix: string): S3Objects {
    const url = this.urlOf(prefix);
    return new S3Objects(s3Settings(url, this.env), new RequestPolicy(url, { timeoutMs: TIMEOUT_MS }));
  }

  /**
   * `count` names of all tenants, as a server publishes them. The objects with the contents are left out, because no
   * request of the scenario reads them: small contents are in their pointers too.
   */
  async fillAdapters(prefix: string, count: number, fileOf: (i: number) => Buffer): Promise<void> {
    await this.#fill(prefix, count, (i) => {
      const content = fileOf(i);
      const generation = generationOf(content);
      const write = randomUUID();
      const owned = { tenant: SHARED, name: adapterName(i) };
      const object = contentKey(owned, generation, write);
      const facts = { generation, object, bytes: content.byteLength, created: CREATED };
      return encodePointer(owned, { ...facts, write, card: {}, earlier: [] }, content);
    });
  }

  /** `count` small objects where names are. No server reads one in a start or in a list of keys. */
  async fillNames(prefix: string, count: number): Promise<void> {
    const body = Buffer.alloc(200, " ");
    await this.#fill(prefix, count, () => body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#seaweed[Symbol.asyncDispose]();
  }

  async #fill(prefix: string, count: number, pointerOf: (i: number) => Uint8Array): Promise<void> {
    const progress = this.#progress();
    const startedAt = performance.now();
    const before = progress[prefix] ?? 0;
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    for (let first = before; first < count; first += BLOCK) {
      const end = Math.min(count, first + BLOCK);
      let next = first;
      const writer = async (): Promise<void> => {
        while (next < end) {
          const i = next++;
          const key = pointerKey({ tenant: SHARED, name: adapterName(i) });
          await put(`${this.#seaweed.endpoint}/${this.#seaweed.bucket}/${prefix}/${key}`, pointerOf(i), agent);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, writer));
      writeFileSync(this.#progressPath, JSON.stringify({ ...progress, [prefix]: end }));
      const rate = ((end - before) / (performance.now() - startedAt)) * 1000;
      if ((first / BLOCK) % 16 === 0) this.#note(`${prefix}: ${end} of ${count} names, ${rate.toFixed(0)} a second`);
    }
    agent.destroy();
  }

  /** Names that were written, by prefix. */
  #progress(): Readonly<Record<string, number>> {
    if (!existsSync(this.#progressPath)) return {};
    return JSON.parse(readFileSync(this.#progressPath, "utf8")) as Record<string, number>;
  }
}

/** Without a signature, which would cost more than all the rest. */
async function put(url: string, body: Uint8Array, agent: Agent): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const headers = { "content-length": body.byteLength };
    const sent = request(url, { method: "PUT", agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () =>
        answer.statusCode === 200 ? resolve() : reject(new Error(`PUT ${url} was answered ${answer.statusCode}`)),
      );
      answer.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Adapters by their number: a quick way to files that all differ. Their cards are empty. */
export function fileDrawer(manifest: Manifest): (i: number) => Buffer {
  const drawn = Array.from({ length: NUM_DRAWN }, (_, seed) => {
    const adapter = { ...randomAdapter(manifest, seed + 1), card: {} };
    const bytes = Buffer.from(encodeAdapter(adapter));
    const first = adapter.targets[0]?.tensors.lambda;
    if (!first) throw new Error("internal: a drawn adapter has no λ");
    const { buffer, byteOffset } = first.data;
    const at = bytes.indexOf(Buffer.from(buffer, byteOffset, 16));
    return { bytes, at };
  });
  return (i) => {
    const { bytes, at } = drawn[i % NUM_DRAWN] as (typeof drawn)[number];
    const file = Buffer.from(bytes);
    file.writeFloatLE(1 + i / 2 ** 20, at);
    return file;
  };
}
