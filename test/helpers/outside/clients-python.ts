/**
 * A Python with clients of PyPI, which MOSARA_CLIENTS_PYTHON names. Tests of clients that it lacks are left out, with a
 * notice.
 */
import { execFileSync } from "node:child_process";

export const CLIENTS_PYTHON = process.env.MOSARA_CLIENTS_PYTHON;

/** Whether that Python finds a module. Imports nothing. */
export function hasModule(name: string): boolean {
  const find = `import importlib.util as u, sys; sys.exit(u.find_spec("${name}") is None)`;
  try {
    if (CLIENTS_PYTHON === undefined) throw new Error("no Python");
    execFileSync(CLIENTS_PYTHON, ["-c", find], { stdio: "ignore" });
    return true;
  } catch {
    process.stderr.write(`${name}: left out, MOSARA_CLIENTS_PYTHON names no Python that has it\n`);
    return false;
  }
}
