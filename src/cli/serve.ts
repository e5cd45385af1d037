/**
 * `mosara serve`, in the order of a fast start. The engine's process loads its code while the server finds the model.
 * Then the engine loads the model, while the server loads the code of HTTP. Hence the imports within the function.
 */
import type { ConfigOf } from "../config/commands.ts";
import { EngineProcesses } from "../engine/server/engine-processes.ts";
import { readTls } from "./serve/certificate.ts";
import { Cleanup } from "./shared/cleanup.ts";

/** Serves until a signal. @returns the exit code. @throws {AppError} when it cannot start. */
export async function serve(config: ConfigOf<"serve">): Promise<number> {
  using processes = new EngineProcesses();
  processes.startAhead();
  await using cleanup = new Cleanup();
  const tls = await readTls(config); // first, since building a base takes a while
  const { openServedModel } = await import("./serve/served-model.ts");
  const model = await openServedModel(config, processes, cleanup);
  const { runServer } = await import("./serve/run-server.ts");
  return await runServer(config, model, tls, cleanup);
}
