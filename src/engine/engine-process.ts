/** Entry of the engine's child process (forked by `engine-client.ts`): the host with the real runner. */
import { hostEngine } from "./engine-host.ts";
import { openRunner } from "./open-runner.ts";

hostEngine(openRunner);
