/** What every process that a load test starts needs: the program, a free port, the word that it serves, and an end. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

/** The built program, from a compiled load test. */
export const MAIN = fileURLToPath(new URL("../../mosara/main.js", import.meta.url));

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number }; // it listens on TCP
  server.close();
  await once(server, "close");
  return port;
}

/**
 * @param child `mosara serve` with a pipe as stdout, which is read to its end
 * @returns its URL. @throws {Error} with its last words on a piped stderr, where it ends before it listens
 */
export async function untilListening(child: ChildProcess): Promise<string> {
  let [printed, words] = ["", ""];
  child.stderr?.on("data", (data: Buffer) => (words = (words + data.toString()).slice(-4000)));
  return await new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", (data: Buffer) => {
      printed = (printed + data.toString()).slice(-4000);
      const url = /^mosara listening on (\S+)\n/m.exec(printed)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once("error", reject);
    child.once("exit", () =>
      reject(new Error(["The server ended before it was listening.", words.trim()].join(" ").trim())),
    );
  });
}

/** Resolves when it has ended, at once if it has ended before or never began. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, "exit");
}
