/**
 * `mosara serve`: starts the engine's process first, which loads its code while the server loads its own. The server is
 * in `serve/run-server.ts`, which is loaded after it for this reason.
 */
import type { ConfigOf } from "../config/commands.ts";
import { EngineProcesses } from "../engine/server/engine-processes.ts";

/** Serves until a signal. @returns the exit code. @throws {AppError} when it cannot start. */
export async function serve(config: ConfigOf<"serve">): Promise<number> {
  using processes = new EngineProcesses();
  processes.startAhead();
  const { runServer } = await import("./serve/run-server.ts");
  return await runServer(config, processes);
}
