/**
 * Programs of others that run beside ours in tests: load balancers, scrapers, browsers. Each listens on free ports and
 * works in a folder of its own; nothing of the system's services is used or touched. Tests skip with a notice where a
 * program is absent.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";

/** Where Debian puts programs that only root has on its path. */
const PATH = [process.env.PATH ?? "", "/usr/sbin", "/sbin"].join(delimiter);

/** Whether a program is installed; says on stderr what is left out otherwise. */
export function hasProgram(name: string, what: string): boolean {
  const { status } = spawnSync("sh", ["-c", `command -v ${name}`], { env: { ...process.env, PATH }, stdio: "ignore" });
  if (status === 0) return true;
  process.stderr.write(`${what}: left out, ${name} is not installed\n`);
  return false;
}

/** A port that nothing listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface RunningProgram extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it wrote to stdout and stderr so far. */
  readonly output: () => string;
}

/** Starts a program in a process group of its own; disposing of it ends the group. */
export function startProgram(name: string, args: readonly string[], cwd: string): RunningProgram {
  const env = {
    ...process.env,
    PATH,
    HOME: cwd,
    XDG_CONFIG_HOME: join(cwd, "config"),
    XDG_CACHE_HOME: join(cwd, "cache"),
  };
  const child = spawn(name, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  const exited = new Promise<void>((resolve) => {
    child.on("error", (error) => {
      output += error.message;
      resolve();
    });
    child.on("close", () => resolve());
  });
  return {
    child,
    output: () => output,
    [Symbol.asyncDispose]: async () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
      await exited;
    },
  };
}

/** Runs a program to its end. */
export function runProgram(
  name: string,
  args: readonly string[],
  input = "",
): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(name, args, { input, encoding: "utf8", env: { ...process.env, PATH } });
  return { status, output: `${stdout}${stderr}` };
}
