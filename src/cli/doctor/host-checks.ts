/** Checks of the machine: Node.js, CPU, memory, clock and port. */
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism, freemem, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readCpuFacts } from "../../runtime/cpu-features.ts";
import { packageRoot } from "../shared/package-root.ts";
import { type Check, failed, ok, shownBytes, warn } from "./check.ts";

/** Clocks of machines and of their file systems may differ by this much. */
const CLOCK_TOLERANCE_MS = 60_000;

export async function checkNode(): Promise<Check> {
  const { engines } = JSON.parse(await readFile(join(packageRoot(), "package.json"), "utf8")) as {
    engines: { node: string };
  };
  const wanted = Number(/\d+/.exec(engines.node)?.[0]);
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= wanted) return ok("node", node);
  return failed("node", `${node}, but ${engines.node} is needed`, `Install Node.js ${wanted} or later.`);
}

export async function checkCpu(threads: number | null): Promise<Check> {
  const { arch, features } = await readCpuFacts();
  const cores = availableParallelism();
  const found = `${arch}, ${cores} ${cores === 1 ? "core" : "cores"}, ${features.join(" ") || "features unknown"}`;
  if (threads !== null && threads > cores)
    return warn(
      "cpu",
      `${found}; --threads is ${threads}`,
      `Set --threads to at most ${cores}. More threads wait for each other.`,
    );
  if (arch === "x64" && features.length > 0 && !features.includes("avx2"))
    return warn(
      "cpu",
      `${found}; no avx2`,
      "Quantised weights are slow on this CPU. Serve float32, or use a CPU with AVX2.",
    );
  return ok("cpu", found);
}

/** @param neededBytes of the weights, and of keys and values */
export async function checkMemory(neededBytes: number | null): Promise<Check> {
  const limit = await cgroupLimit();
  const total = Math.min(totalmem(), limit ?? Infinity);
  const free = Math.min(freemem(), total);
  const bound = limit !== null && limit < totalmem() ? " (the limit of this container)" : "";
  const found = `${shownBytes(free)} free of ${shownBytes(total)}${bound}`;
  if (neededBytes === null) return ok("memory", found);
  const need = `; the base and its cache need about ${shownBytes(neededBytes)}`;
  if (neededBytes > total)
    return failed(
      "memory",
      found + need,
      "Serve smaller weights (--weights int8 or int4), lower --kv-cache-bytes, or add memory.",
    );
  if (neededBytes > free) return warn("memory", found + need, "End other programs, or lower --kv-cache-bytes.");
  return ok("memory", found + need);
}

/** Bytes that the control group allows; null: no limit, or the system has none. */
async function cgroupLimit(): Promise<number | null> {
  for (const path of ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]) {
    const bytes = Number((await readFile(path, "utf8").catch(() => "")).trim() || NaN);
    if (Number.isFinite(bytes)) return bytes;
  }
  return null;
}

/**
 * A clock is wrong if it shows a time before the dates of the program's own files. Deadlines, expiring keys and
 * receipts depend on the clock.
 */
export async function checkClock(): Promise<Check> {
  const now = Date.now();
  const { mtimeMs } = await stat(fileURLToPath(import.meta.url));
  const found = new Date(now).toISOString();
  if (now + CLOCK_TOLERANCE_MS >= mtimeMs) return ok("clock", found);
  const installed = new Date(mtimeMs).toISOString();
  return failed(
    "clock",
    `${found}, but the program was installed at ${installed}`,
    "Set the clock, for example with NTP.",
  );
}

export async function checkPort(host: string, port: number): Promise<Check> {
  const server = createServer();
  const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    server.once("error", resolve);
    server.listen(port, host, () => resolve(null));
  });
  if (error === null) await new Promise((resolve) => server.close(resolve));
  const address = `${host} port ${port}`;
  if (error === null) return ok("port", `${address} is free`);
  if (error.code === "EADDRINUSE")
    return failed("port", `another program listens on ${address}`, "Stop it, or choose another --port.");
  if (error.code === "EACCES") return failed("port", `${address} is not allowed`, "Choose a --port from 1024 on.");
  return failed("port", `${address}: ${error.message}`, "Choose an address of this machine as --host.");
}
