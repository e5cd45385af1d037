/** `npm run train -- …`: the same as `mosara train …`. */
import { runCommandLine } from "../src/cli/shared/command-line.ts";

process.exitCode = await runCommandLine(["train", ...process.argv.slice(2)], process.env);
