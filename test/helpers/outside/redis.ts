/** A Redis server of a test: Debian's program on a free port, which keeps its data in a directory of its own. */
import { connect } from "node:net";
import { createClient } from "@redis/client";
import { freePort, hasProgram, type RunningProgram, startProgram } from "./programs.ts";
import { tempDir, until } from "../server.ts";

/** What to skip without Redis. Says so on stderr. */
export const hasRedis = (what: string): boolean => hasProgram("redis-server", what);

export interface TestRedis extends AsyncDisposable {
  readonly url: string;
  exists(key: string): Promise<boolean>;
  /** SIGSTOP: it keeps its connections and does not answer. */
  stop(): void;
  /** SIGCONT */
  resume(): void;
  /** SIGKILL. Its data is lost. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  restart(): Promise<void>;
}

export async function startRedis(...settings: string[]): Promise<TestRedis> {
  const port = await freePort();
  const start = () =>
    startProgram("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", ...settings], tempDir());
  let program: RunningProgram = start();
  const signal = (name: NodeJS.Signals) => program.child.kill(name);
  const ready = () => until("Redis", () => answers(port));
  await ready();
  return {
    exists: async (key) => {
      const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
      const number = await client.exists(key);
      client.destroy();
      return number > 0;
    },
    url: `redis://127.0.0.1:${port}`,
    stop: () => void signal("SIGSTOP"),
    resume: () => void signal("SIGCONT"),
    kill: async () => await program[Symbol.asyncDispose](),
    restart: async () => {
      program = start();
      await ready();
    },
    [Symbol.asyncDispose]: async () => await program[Symbol.asyncDispose](),
  };
}

/** Whether something accepts connections there. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
